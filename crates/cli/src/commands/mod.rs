//! One file a subcommand.

pub mod apps;
mod condition;
pub mod deploy;
pub mod deployments;
pub mod doctor;
pub mod env;
pub mod git;
pub mod git_credentials;
pub mod hooks;
pub mod images;
pub mod logs;
mod outcome;
pub mod promote;
pub mod registries;
mod settings;
pub mod setup;
mod source;
mod variables;
pub mod webhook;
