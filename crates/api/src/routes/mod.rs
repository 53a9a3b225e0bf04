//! The handlers, one file a resource. Each is a row of [`crate::operation::OPERATIONS`].

pub mod api_keys;
pub mod applications;
pub mod deployment_hook;
pub mod deployments;
pub mod docker_registries;
pub mod env_vars;
pub mod git_credentials;
pub mod health;
pub mod images;
pub mod logs;
pub mod processes;
pub mod projects;
pub mod push_webhook;
pub mod repositories;
pub mod resources;
pub mod setup;
