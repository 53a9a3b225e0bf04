//! From an image reference to files: resolve, authenticate, fetch, verify, unpack, sweep.
//!
//! [`ImageStore`] is the whole of it for callers:
//!
//! 1. [`ImageStore::resolve`]: reference → manifest and configuration, both verified and kept;
//! 2. [`ImageStore::fetch`]: layers in place, each one stream from the network to its own folder;
//! 3. [`ImageStore::rootfs_for`]: what an overlay is made of, from disk only;
//! 4. [`ImageStore::load`]: the same from an OCI layout on disk, without network, for everybody;
//! 5. [`ImageStore::export`]: an image for a builder to build on, as an OCI layout with its layers as they travel;
//! 6. [`ImageStore::take`]: an image that a builder made, for one company, its layers in place;
//! 7. [`ImageStore::sweep`]: remove what nobody needs;
//! 8. [`ImageStore::verify`]: try a login at its registry, without a pull.
//!
//! Whatever is asked of a registry is asked for a company. Its tokens serve nobody else, and what is on disk serves
//! only the companies that downloaded it themselves, or built it.
//!
//! Layers are written by another process, [`unpack::run`], which holds no network and sees no other folder.

mod config;
mod disk;
mod error;
mod export;
mod layer;
mod local;
mod login;
mod manifest;
mod progress;
mod registry;
mod resolved;
mod source;
mod store;
mod sweep;
pub mod unpack;

pub use config::{Config, Limits, RoleCommand, Timeouts};
pub use error::{Cause, ImageError};
pub use login::{Login, Verdict};
pub use progress::{LayerProgress, LayerState, Progress};
pub use registry::Stalled;
pub use resolved::{LayerInfo, PlatformEntry, Resolved};
pub use store::ImageStore;
pub use sweep::Swept;
