//! Where everything is, and scratch folders that go away by themselves.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::image::{DiffId, Digest};
use rustix::fs::syncfs;

use super::{LayerRecord, OwnFolder, remove_tree};
use crate::Cause;

/// The store's folders. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Folders {
    root: Arc<PathBuf>,
    /// Where this process works; removed with the last clone.
    own: Arc<OwnFolder>,
    next_scratch: Arc<AtomicU64>,
}

/// A folder for work under way; dropped, it is removed with all that is in it.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    /// Open since it was made, so that no write to the disk fails unnoticed.
    handle: File,
}

impl Folders {
    /// Makes what is missing and removes what an interrupted run left.
    pub fn open(root: &Path) -> Result<Self, Cause> {
        let tmp = root.join("tmp");
        let names = ["blobs/sha256", "layers", "proofs", "local", "tmp"];
        for folder in std::iter::once(root.to_owned()).chain(names.map(|name| root.join(name))) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)
                .map_err(|error| Cause::storage("make", folder, error))?;
        }
        let own = OwnFolder::make(&tmp)?;
        Ok(Self { root: Arc::new(root.to_owned()), own: Arc::new(own), next_scratch: Arc::default() })
    }

    /// Removes what processes that are gone left.
    pub fn remove_left(&self) -> Result<(), Cause> {
        OwnFolder::remove_left(&self.root.join("tmp"))
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs").join("sha256")
    }

    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    pub fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    pub fn layer(&self, diff_id: &DiffId) -> PathBuf {
        self.layers().join(diff_id.hex())
    }

    pub fn local(&self) -> PathBuf {
        self.root.join("local")
    }

    pub fn tmp(&self) -> PathBuf {
        self.own.path().to_owned()
    }

    /// The record of a layer that is in place. A folder without a readable record counts as absent.
    pub fn layer_record(&self, diff_id: &DiffId) -> Option<LayerRecord> {
        let record = LayerRecord::read(&self.layer(diff_id))?;
        (record.diff_id == *diff_id).then_some(record)
    }

    /// A fresh folder, 0700.
    pub fn scratch(&self) -> Result<Scratch, Cause> {
        loop {
            let path = self.scratch_path();
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    let handle = File::open(&path).map_err(|error| Cause::storage("open", &path, error))?;
                    return Ok(Scratch { path, handle });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Cause::storage("make", path, error)),
            }
        }
    }

    /// A path in this process' own folder that is given out once.
    pub fn scratch_path(&self) -> PathBuf {
        self.tmp().join(self.next_number().to_string())
    }

    pub(super) fn next_number(&self) -> u64 {
        self.next_scratch.fetch_add(1, Ordering::Relaxed)
    }
}

impl Scratch {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes all that was written in it last: one call for all files. It fails when anything could not be written
    /// since the folder was made, also by another process, and also by the kernel in the background.
    pub fn sync(&self) -> io::Result<()> {
        Ok(syncfs(&self.handle)?)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        match remove_tree(&self.path) {
            Ok(()) => {}
            // Its content was put in place.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "a scratch folder stays behind")
            }
        }
    }
}

/// Makes a change to a folder's entries last.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
