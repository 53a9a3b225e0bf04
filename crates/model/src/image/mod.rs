//! Images as nouns: references, digests, platforms, configurations. No network here.

mod config;
mod digest;
mod platform;
mod reference;

pub use config::{DirFix, ExposedPort, ImageConfig, RootFs};
pub use digest::{DiffId, Digest, DigestError};
pub use platform::Platform;
pub use reference::{Reference, ReferenceError};
