//! From a Git repository to an image.
//!
//! 1. [`git::Git`] finds the commit and brings its files;
//! 2. [`Builder`] makes an image of them, with the help of its [`Surroundings`]: base images, limits and a network
//!    come from whoever asks.
//!
//! Nothing here knows the database, registries or the engine.

mod builder;
mod dockerfile;
pub mod git;
pub mod made;
pub mod room;
mod secret;
mod workshop;

pub use builder::{Base, Builder, Built, Check, Dockerfile, News, Order, Origin, Surroundings};
pub use room::protocol::Programs;
pub use secret::Secret;
pub use workshop::{Config, Limits, Mask, Role, Workshop};
