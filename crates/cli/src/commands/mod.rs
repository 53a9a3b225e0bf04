//! One file a subcommand.

pub mod apps;
pub mod deploy;
pub mod deployments;
pub mod doctor;
pub mod env;
pub mod images;
pub mod logs;
mod outcome;
pub mod registries;
pub mod setup;
mod variables;
