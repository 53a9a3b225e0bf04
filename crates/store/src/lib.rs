//! SQLite: what Darsena remembers.
//!
//! One writer thread, fed by a channel, makes every change in a transaction of its own; readers have read-only
//! connections. Every query takes the company it is for: [`Store::company`] is the only way to rows that a
//! company owns, and an id of another company is [`StoreError::NotFound`]. What concerns the whole installation,
//! such as picking up after a restart, is on [`Store::instance`].
//!
//! Environment values are sealed at rest with the key of the installation (`DATA/key`).

mod company;
mod error;
mod instance;
mod page;
mod store;

pub use company::{CompanyStore, DeploymentLogLine, DeploymentLogQuery, NewToken};
pub use error::{KeyProblem, StoreError};
pub use instance::{AuditEntry, InstanceStore, NewKey, Setup};
pub use page::{Listed, Page};
pub use store::Store;

/// The sha256 of a token: all that is kept of it.
pub type TokenHash = [u8; 32];
