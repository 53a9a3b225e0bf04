//! One file a subcommand.

pub mod apps;
mod condition;
pub mod deploy;
pub mod deployments;
pub mod doctor;
pub mod env;
pub mod images;
pub mod logs;
mod outcome;
pub mod registries;
mod settings;
pub mod setup;
mod variables;
