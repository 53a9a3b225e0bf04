//! What a reference turned out to be.

use model::image::{DiffId, Digest, ImageConfig, Platform};

/// An image as its registry describes it, checked; no layer is fetched yet.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Digest of the document that the reference names: an index or a manifest.
    pub digest: Digest,
    /// Media type of that document.
    pub media_type: String,
    /// Digest of the manifest for this machine; the same as `digest` without an index.
    pub manifest: Digest,
    /// What the configuration says it is for.
    pub platform: Platform,
    /// Everything that the index offers, in its order; just `platform` without an index.
    pub platforms: Vec<PlatformEntry>,
    pub config: ImageConfig,
    /// Bottom layer first.
    pub layers: Vec<LayerInfo>,
    /// Compressed bytes of the layers and the configuration.
    pub size: u64,
    /// Whether the login was sent and the registry took it. It is not sent to a registry that gives the image to
    /// everybody, so nothing is known of it then.
    pub with_login: bool,
}

/// A platform that an index offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformEntry {
    pub platform: Platform,
    /// Its manifest.
    pub digest: Digest,
}

/// A layer as the manifest and the configuration name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerInfo {
    /// Of the bytes as they travel.
    pub digest: Digest,
    /// Of the bytes as they travel.
    pub size: u64,
    pub media_type: String,
    /// Of the uncompressed tar.
    pub diff_id: DiffId,
}
