//! Removing what no image needs any more.
//!
//! Whenever a sweep is cut off, what is in place is whole: a layer goes away by one rename first, into the folder
//! of this process, where the next sweep, or the next start, finds what was not removed yet. Its record goes before its
//! files, so that even a file system that loses the rename in a power cut brings back no layer with files missing.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use model::image::{DiffId, Digest};

use crate::Cause;
use crate::disk::{Folders, Locks, remove_tree, sweeping};
use crate::manifest::{Document, read_config};

/// What [`crate::ImageStore::sweep`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub layers: usize,
    /// Manifests, indexes and configurations.
    pub documents: usize,
}

/// A sweep of a store.
pub(crate) struct Sweep<'a> {
    pub folders: &'a Folders,
    /// One at a time changes whether a layer is in place.
    pub places: &'a Locks<DiffId>,
}

/// What kept images are made of, as far as it is here.
#[derive(Default)]
struct Needed {
    documents: HashSet<Digest>,
    layers: HashSet<DiffId>,
}

impl Sweep<'_> {
    /// Removes what neither `keep` nor a loaded image needs, and what processes that are gone left.
    pub fn run(&self, keep: &[Digest]) -> Result<Swept, Cause> {
        let root = self.folders.root();
        self.folders.remove_left()?;
        let lock = sweeping(root).map_err(|error| Cause::storage("lock", root, error))?;
        let Some(_sweeping) = lock else { return Ok(Swept::default()) };
        let removed_before = self.folders.remove_away();
        let loaded = self.folders.local_names()?.into_iter().map(|name| name.digest);
        let needed = needed(self.folders, keep.iter().cloned().chain(loaded).collect())?;
        let swept = Swept {
            layers: self.sweep_layers(&needed.layers)?,
            documents: self.sweep_documents(&needed.documents)?,
        };
        self.folders.sweep_proofs()?;
        removed_before.map(|()| swept)
    }

    /// One that cannot be removed is no reason to keep the others; the first failure is told at the end.
    fn sweep_layers(&self, keep: &HashSet<DiffId>) -> Result<usize, Cause> {
        let mut removed = 0;
        let mut failed = None;
        for digest in digests_in(&self.folders.layers())? {
            let diff_id = DiffId::new(digest);
            if keep.contains(&diff_id) {
                continue;
            }
            // A pull puts it in place just now.
            let Some(_place) = self.places.try_lock(diff_id.clone()) else { continue };
            let (place, away) = (self.folders.layer(&diff_id), self.folders.away_path());
            match fs::rename(&place, &away).and_then(|()| remove_tree(&away)) {
                Ok(()) => removed += 1,
                Err(error) => {
                    failed.get_or_insert_with(|| Cause::storage("remove", place, error));
                }
            }
        }
        failed.map_or(Ok(removed), Err)
    }

    fn sweep_documents(&self, keep: &HashSet<Digest>) -> Result<usize, Cause> {
        let mut removed = 0;
        for digest in digests_in(&self.folders.blobs())?.into_iter().filter(|digest| !keep.contains(digest)) {
            let path = self.folders.blob(&digest);
            fs::remove_file(&path).map_err(|error| Cause::storage("remove", path, error))?;
            removed += 1;
        }
        Ok(removed)
    }
}

/// Follows kept images down to their layers. A document that is not here needs nothing, because what it names is
/// fetched anew with it; one that is here and cannot be read ends the sweep before it removes anything.
fn needed(folders: &Folders, mut todo: Vec<Digest>) -> Result<Needed, Cause> {
    let mut needed = Needed::default();
    while let Some(digest) = todo.pop() {
        if needed.documents.contains(&digest) {
            continue;
        }
        let Some(bytes) = folders.kept_blob(&digest)? else { continue };
        let unreadable = |cause: Cause| damaged(&digest, &cause);
        match Document::parse(&bytes, None).map_err(unreadable)? {
            Document::Index(index) => todo.extend(index.entries.into_iter().map(|entry| entry.digest)),
            Document::Manifest(manifest) => {
                if let Some(config) = folders.kept_blob(&manifest.config.digest)? {
                    let config = read_config(&config, manifest.layers.len()).map_err(unreadable)?;
                    needed.layers.extend(config.diff_ids);
                    needed.documents.insert(manifest.config.digest);
                }
            }
        }
        needed.documents.insert(digest);
    }
    Ok(needed)
}

fn damaged(digest: &Digest, why: &Cause) -> Cause {
    Cause::KeptDamaged { digest: digest.clone(), reason: why.to_string() }
}

/// Names in a folder that are hex digests.
fn digests_in(folder: &Path) -> Result<Vec<Digest>, Cause> {
    let list = || -> io::Result<Vec<Digest>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            found.extend(name.to_str().and_then(|name| Digest::parse(&format!("sha256:{name}")).ok()));
        }
        Ok(found)
    };
    list().map_err(|error| Cause::storage("list", folder, error))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::path::PathBuf;

    use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

    use super::*;

    /// A file system mounted in a folder, so that it cannot be removed; unmounted when dropped, wherever the folder
    /// was moved meanwhile.
    struct Busy(File);

    impl Busy {
        fn make(folder: &Path) -> Self {
            mount("tmpfs", folder, "tmpfs", MountFlags::empty(), None).unwrap();
            Self(File::open(folder).unwrap())
        }
    }

    impl Drop for Busy {
        fn drop(&mut self) {
            unmount(format!("/proc/self/fd/{}", self.0.as_raw_fd()), UnmountFlags::DETACH).unwrap();
        }
    }

    #[test]
    fn what_a_sweep_could_not_remove_the_next_one_does() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let folders = Folders::open(root.path()).unwrap();
        let left =
            || fs::read_dir(folders.tmp()).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
        let layer = folders.layer(&DiffId::new(Digest::from_sha256([9; 32])));
        fs::create_dir_all(layer.join("fs/busy")).unwrap();
        let busy = Busy::make(&layer.join("fs/busy"));
        let sweep = Sweep { folders: &folders, places: &Locks::default() };

        for _ in 0..2 {
            sweep.run(&[]).unwrap_err();
            assert!(!layer.exists());
            assert_eq!(left().len(), 1, "it is told each time that this stays");
        }
        drop(busy);
        sweep.run(&[]).unwrap();
        assert_eq!(left(), Vec::<PathBuf>::new());
    }
}
