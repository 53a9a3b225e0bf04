//! For tests: sample images, registries good and bad, test servers.

pub mod image;
pub mod registry;
