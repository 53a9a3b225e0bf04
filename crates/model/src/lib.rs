//! Nouns and rules of Darsena: no I/O, no async, no SQL, no HTTP.
//!
//! Every other crate speaks in these types. A value that exists has been checked: an [`AppName`] is a DNS
//! label, a [`image::Digest`] is a sha256, an [`image::Reference`] can be asked for at a registry.

pub mod access;
pub mod address;
pub mod app;
pub mod credential;
pub mod deployment;
pub mod failure;
pub mod git;
pub mod id;
pub mod image;
pub mod log;
pub mod name;
pub mod project;
pub mod release;
pub mod size;

pub use app::{App, AppStatus, EnvVar, Kept, Probe, ProbeKind, Process, Source};
pub use credential::{Credential, CredentialStatus, RegistryKind};
pub use deployment::{Deployment, Trigger};
pub use failure::{Failure, FailureCode, Phase};
pub use git::{
    BuildSettings, Commit, GitCredential, GitLogin, GitOrder, GitSource, GitUrl, Recipe, Revision,
};
pub use id::*;
pub use name::{AppName, NameError};
pub use release::{Command, Release};
pub use size::{Limits, ResourceType};

/// A moment in UTC. Texts of it are RFC 3339.
pub type Timestamp = jiff::Timestamp;
