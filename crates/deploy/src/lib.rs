//! Makes a release serve: the only crate that knows images, containers, routes and the database.
//!
//! - [`Platform`] takes requests: deploy, roll back, cancel, suspend, activate, delete;
//! - `driver` carries one deployment at a time for each application through its states;
//! - `steps` does the work of a state and turns the result into an event, `switching` that of the last states;
//! - `health` decides whether a new container is ready;
//! - `login` chooses the credential of a pull, and learns from its outcome;
//! - `keeper` and `upkeep` keep the containers of serving releases running;
//! - `recover` picks up after a restart;
//! - `plan` and `explain` are the pure parts: what a release is made of, and words for what went wrong.

mod back_off;
mod condition;
mod container;
mod driver;
mod error;
mod explain;
mod health;
mod journal;
mod keeper;
mod login;
mod plan;
mod platform;
mod probing;
mod pull;
mod queue;
mod recover;
mod releasing;
mod retire;
mod routes;
mod steps;
mod switching;
mod upkeep;
mod watch;

pub use condition::{Condition, Running};
pub use error::DeployError;
pub use login::{LoginCheck, LoginError};
pub use platform::{Parts, Platform, RuntimeLine, Settings};
pub use queue::Request;
