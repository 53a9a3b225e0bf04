//! The store through its public API, on real files.

mod access;
mod applications;
mod companies;
mod credentials;
mod git_credentials;
mod hooks;
mod log;
mod opening;
mod pruning;
mod pushes;
mod queue;
mod races;
mod request_keys;
mod rotation;
mod sealing;
mod setup;
mod support;
mod upgrading;
