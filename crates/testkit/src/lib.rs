//! For tests: sample images, Git repositories, registries good and bad, token servers, certificates, a network of its own.

pub mod git;
pub mod image;
pub mod lab;
mod port;
pub mod registry;
mod seen;
pub mod sink;
pub mod tls;
pub mod tokens;

pub use port::Port;
