//! From what a request says to what is stored, and back: pure functions, no store, no network.

pub mod application;
pub mod condition;
pub mod credential;
pub mod deployment;
pub mod git_credential;
pub mod hook;
pub mod keys;
pub mod log;
pub mod probe;
pub mod process;
pub mod push;
pub mod source;
