//! Documents by digest: manifests, indexes, configurations.

use std::fs::{self, File};
use std::io::{self, Write};

use model::image::Digest;
use sha2::{Digest as _, Sha256};

use super::Folders;
use super::folders::sync_folder;
use super::proofs::Owner;
use crate::Cause;

impl Folders {
    /// A document that is here. One whose bytes no longer match its digest counts as absent, so that it is
    /// fetched again.
    pub fn read_blob(&self, digest: &Digest) -> Option<Vec<u8>> {
        let bytes = fs::read(self.blob(digest)).ok()?;
        if !is_whole(&bytes, digest) {
            tracing::warn!(%digest, "a stored document does not match its digest any more");
            return None;
        }
        Some(bytes)
    }

    /// A document of an image that is to be kept; `None` when it is not here. One that is here and cannot be
    /// read, or is damaged, is an error, for whoever removes what no document names.
    pub fn kept_blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Cause> {
        let path = self.blob(digest);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Cause::storage("read", path, error)),
        };
        if !is_whole(&bytes, digest) {
            let reason = "its bytes do not match its digest any more".to_owned();
            return Err(Cause::KeptDamaged { digest: digest.clone(), reason });
        }
        Ok(Some(bytes))
    }

    /// A document that is here and that the owner may use.
    pub fn read_own_blob(&self, digest: &Digest, owner: Owner) -> Option<Vec<u8>> {
        self.is_proven(digest.hex(), owner).then(|| self.read_blob(digest)).flatten()
    }

    /// Keeps a document whose digest was verified.
    pub fn write_blob(&self, digest: &Digest, bytes: &[u8]) -> Result<(), Cause> {
        if self.read_blob(digest).is_some() {
            return Ok(());
        }
        let (temporary, place) = (self.scratch_path(), self.blob(digest));
        let written = File::create(&temporary)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&temporary, &place))
            .and_then(|()| sync_folder(&self.blobs()));
        written.map_err(|error| {
            let _ = fs::remove_file(&temporary);
            Cause::storage("write", place, error)
        })
    }
}

fn is_whole(bytes: &[u8], digest: &Digest) -> bool {
    Digest::from_sha256(Sha256::digest(bytes).into()) == *digest
}
