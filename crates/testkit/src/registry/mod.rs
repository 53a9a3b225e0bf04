//! Registries: a good one, Debian's own, and a bad one with a fault for each repository.

mod bad;
mod bad_answers;
mod good;

pub use crate::seen::Seen;
pub use bad::{Bad, Fault, Reply};
pub use good::Good;
