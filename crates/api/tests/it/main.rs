//! The API over a real store: every answer is held against `api/openapi-v3.yaml`.

mod api_keys;
mod applications;
mod changes;
mod contract;
mod deployments;
mod docker_registries;
mod double;
mod env_vars;
mod every_operation;
mod full_disk;
mod git_credentials;
mod hooks;
mod http_rules;
mod idempotency;
mod images;
mod logs;
mod matrix;
mod processes;
mod projects;
mod pushes;
mod races;
mod repositories;
mod repository_looks;
mod server;
mod serving;
mod setup;
