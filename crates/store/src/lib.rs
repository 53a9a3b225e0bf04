//! SQLite: what Darsena remembers.
//!
//! One writer thread, fed by a channel, makes every change in a transaction of its own; readers have read-only
//! connections. Every query takes the company it is for: [`Store::company`] is the only way to rows that a
//! company owns, and an id of another company is [`StoreError::NotFound`]. What concerns the whole installation,
//! such as picking up after a restart, is on [`Store::instance`].
//!
//! Environment values and the secrets of credentials are sealed at rest with the key of the installation
//! (`DATA/key`).

mod api_keys;
mod apps;
mod audit;
mod backup;
mod company;
mod credentials;
mod deployment_log;
mod deployments;
mod env_vars;
mod error;
mod file;
mod git_credentials;
mod hooks;
mod instance;
mod key;
mod key_check;
mod migrate;
mod open;
mod page;
mod processes;
mod projects;
mod prune;
mod pushes;
mod query;
mod readers;
mod recovery;
mod releases;
mod request_keys;
mod reserve;
mod rotate;
mod row;
mod seal;
mod secret;
mod setup;
mod store;
mod users;
mod writer;

pub use api_keys::NewToken;
pub use audit::AuditEntry;
pub use company::CompanyStore;
pub use deployment_log::{DeploymentLogLine, DeploymentLogQuery};
pub use error::{KeyProblem, StoreError};
pub use hooks::{CalledHook, Hook, HookKind};
pub use instance::InstanceStore;
pub use page::{Listed, Page};
pub use request_keys::RequestKey;
pub use rotate::RotateReport;
pub use secret::Secret;
pub use setup::{NewKey, Setup};
pub use store::Store;

/// The sha256 of a token: all that is kept of it.
pub type TokenHash = [u8; 32];

type Result<T> = std::result::Result<T, StoreError>;
