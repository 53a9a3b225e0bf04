//! Makes a release serve: the only crate that knows images, containers, routes and the database.
//!
//! - [`Platform`] takes requests: deploy, roll back, cancel, suspend, activate, delete;
//! - `driver` carries one deployment at a time for each application through its states;
//! - `queue` puts deployments into the queue, `releasing` makes their releases;
//! - `steps` does the work of a state and turns the result into an event, `switching` that of the last states;
//! - `checkout` fetches the files of a commit, `building` makes an image of them, `room` is what a build asks for;
//! - `health` decides whether a new container is ready;
//! - `login` chooses the credential of a pull, and learns from its outcome;
//! - `keeper` and `upkeep` keep the containers of serving releases running;
//! - `recover` picks up after a restart;
//! - `plan` and `explain` are the pure parts: what a release is made of, and words for what went wrong.

mod back_off;
mod base_login;
mod build_limits;
mod building;
mod builds;
mod checkout;
mod condition;
mod container;
mod driver;
mod error;
mod explain;
mod git_login;
mod health;
mod journal;
mod keeper;
mod ledger;
mod leftovers;
mod login;
mod plan;
mod platform;
mod probing;
mod pull;
mod queue;
mod recover;
mod releasing;
mod repository;
mod retire;
mod room;
mod routes;
mod steps;
mod switching;
mod upkeep;
mod watch;

pub use condition::{Condition, Running};
pub use error::DeployError;
pub use ledger::{BuildStep, StepState};
pub use login::{LoginCheck, LoginError};
pub use platform::{Parts, Platform, RuntimeLine, Settings};
pub use queue::Request;
pub use repository::{DeployKey, Repository};
