//! A typed client of API v3: one method an operation, over the types of `wire`.
//!
//! The key goes to the server it was made for and nowhere else: redirects are not followed, and plain http is
//! spoken to this machine only, unless the caller says otherwise. It is in no error and no `Debug` form.
//!
//! Whoever uses this crate installs rustls' crypto provider first (`main` does), or making a [`Client`] panics.

mod applications;
mod deployments;
mod env_vars;
mod error;
mod git;
mod hooks;
mod keys;
mod list;
mod logs;
mod reach;
mod registries;
mod resources;
mod server;
mod transport;

pub use error::{Error, Refusal};
pub use logs::LogQuery;
pub use reach::{NoAnswer, reach};
pub use registries::Verify;
pub use server::{PlainHttp, Server};
pub use transport::Client;
