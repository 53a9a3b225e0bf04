//! The store through its public API, on real files.

mod access;
mod applications;
mod companies;
mod opening;
mod queue;
mod sealing;
mod setup;
mod support;
