//! Layers: a tar, compressed or not, under its two digests.

use std::io::Write;

use super::{Tar, digest};

/// A layer as it travels.
#[derive(Clone, Debug)]
pub struct Layer {
    pub media_type: String,
    /// What travels.
    pub bytes: Vec<u8>,
    /// Of what travels.
    pub digest: String,
    /// Of the tar.
    pub diff_id: String,
}

impl Layer {
    pub fn gzip(tar: Tar) -> Self {
        Self::gzip_of(&tar.finish())
    }

    /// Compresses bytes that need not be a tar.
    pub fn gzip_of(tar: &[u8]) -> Self {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(tar).expect("writing to memory works");
        let bytes = encoder.finish().expect("writing to memory works");
        Self::of(tar, bytes, "application/vnd.oci.image.layer.v1.tar+gzip")
    }

    pub fn zstd(tar: Tar) -> Self {
        let tar = tar.finish();
        let bytes = zstd::encode_all(&tar[..], 3).expect("compressing in memory works");
        Self::of(&tar, bytes, "application/vnd.oci.image.layer.v1.tar+zstd")
    }

    pub fn plain(tar: Tar) -> Self {
        let tar = tar.finish();
        Self::of(&tar, tar.clone(), "application/vnd.oci.image.layer.v1.tar")
    }

    /// A layer of these bytes that claims to hold this tar.
    pub fn of(tar: &[u8], bytes: Vec<u8>, media_type: &str) -> Self {
        Self { media_type: media_type.to_owned(), digest: digest(&bytes), diff_id: digest(tar), bytes }
    }
}
