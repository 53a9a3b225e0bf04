//! From a root filesystem to a process: bundle, runtime, shim, network, limits, logs.
//!
//! [`Engine`] is what the rest of Darsena sees. [`LocalEngine`] runs containers on this machine: one
//! supervisor process a container ([`shim`]) drives an OCI runtime through its command line. Everything that
//! a container needs from the kernel belongs to its supervisor's own mount and network namespaces, so that it
//! vanishes with the container: no mount is ever made in the host's namespace.
//!
//! A [`Guest`] is a process that somebody else started and that is no container, such as a build. It gets the same
//! limits and the same network.

mod bundle;
mod cgroup;
mod engine;
mod error;
mod folders;
mod local;
mod logfile;
pub mod shim;

pub use engine::{Check, ContainerSpec, Engine, ExecOutcome, Exit, Guest, LogQuery, Status};
pub use error::{EngineError, Refusal};
pub use local::{Config, LocalEngine, RoleCommand};

/// Text of the `resolv.conf` that containers and guests get, as the host's own stands now.
pub fn resolv_conf() -> String {
    shim::prepare::etc::resolv_conf_here()
}
