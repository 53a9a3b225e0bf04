//! The sealing key of the installation: 32 random bytes in `DATA/key`, readable by the server alone.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{KeyProblem, Result, StoreError, file};

pub const LENGTH: usize = 32;

/// The key. It is wiped from memory when it goes, and shows itself nowhere.
pub struct Key(Zeroizing<[u8; LENGTH]>);

impl Key {
    /// Reads the key file; refuses one that others can read or that has another length.
    pub fn read(path: &Path) -> Result<Key> {
        let refused = |problem| StoreError::Key { path: path.to_owned(), problem };
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(refused(KeyProblem::Missing));
            }
            Err(error) => return Err(file::failed("reading", path)(error)),
        };
        let mode = metadata.permissions().mode() & 0o7777;
        if !metadata.is_file() {
            return Err(refused(KeyProblem::NoFile));
        }
        if mode & 0o077 != 0 {
            return Err(refused(KeyProblem::Readable(mode)));
        }
        if metadata.len() != LENGTH as u64 {
            return Err(refused(KeyProblem::Length(metadata.len())));
        }
        let bytes = Zeroizing::new(fs::read(path).map_err(file::failed("reading", path))?);
        let key = bytes.as_slice().try_into().map_err(|_| refused(KeyProblem::Length(bytes.len() as u64)))?;
        Ok(Key(Zeroizing::new(key)))
    }

    /// Reads the key file, or makes one. For a new database only: an old one would not open with a new key.
    pub fn read_or_make(path: &Path) -> Result<Key> {
        match Key::read(path) {
            Err(StoreError::Key { problem: KeyProblem::Missing, .. }) => {}
            other => return other,
        }
        Key::make(path)
    }

    /// Makes a key and its file, which is on the disk afterwards.
    pub fn make(path: &Path) -> Result<Key> {
        let bytes = random(path)?;
        file::write_private(path, &*bytes)?;
        Ok(Key(bytes))
    }

    /// Where a key waits to take the place of the one at `path`.
    pub fn next_path(path: &Path) -> PathBuf {
        path.with_extension("new")
    }

    /// A name for the key that says nothing about it, to tell which backup it belongs to.
    pub fn id(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(b"name of a sealing key of darsena\0");
        hasher.update(*self.0);
        hex::encode(&hasher.finalize()[..4])
    }

    pub fn bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }
}

/// 256 random bits of the operating system for a secret that is to lie in a file.
pub fn random(path: &Path) -> Result<Zeroizing<[u8; LENGTH]>> {
    let mut bytes = Zeroizing::new([0; LENGTH]);
    getrandom::fill(&mut *bytes)
        .map_err(|error| file::failed("making", path)(io::Error::other(error.to_string())))?;
    Ok(bytes)
}
