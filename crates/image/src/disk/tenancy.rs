//! Several processes on one store: `serve`, and commands such as `images load` beside it.
//!
//! Every process works in a folder of its own below `tmp/` and holds a lock on it, which the kernel lets go of
//! however the process ends. So whoever opens the store can tell work under way from what a crash left. A
//! second lock keeps the sweep away from what another process has brought and not yet named, and a third one
//! lets one process at a time put a layer in place.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::remove_tree;
use crate::Cause;

/// How long to wait for a lock that others hold for a moment only. A longer wait means that its holder hangs, or was
/// stopped.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process' own folder for work under way. Dropped, it is removed with all that is in it.
#[derive(Debug)]
pub(crate) struct OwnFolder {
    path: PathBuf,
    _lock: Lock,
}

/// A lock on an open file or folder, given back when dropped.
///
/// Closing the file would not do: the lock belongs to what was opened, and a child that another thread forks in
/// between has that too until it runs its program. Given back by name, it is free for everybody at once.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    fn take(file: File, how: FlockOperation) -> io::Result<Self> {
        flock(&file, how)?;
        Ok(Self(file))
    }

    /// The whole lock on a file, for a moment, as soon as nobody has a part of it.
    fn take_soon(path: PathBuf, patience: Duration) -> Result<Self, Cause> {
        let deadline = Instant::now() + patience;
        loop {
            let lock = open(&path).and_then(Self::take_if_free);
            match lock.map_err(|error| Cause::storage("lock", &path, error))? {
                Some(lock) => return Ok(lock),
                None if Instant::now() > deadline => return Err(Cause::Locked { path, patience }),
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    /// The whole lock if nobody has a part of it.
    fn take_if_free(file: File) -> io::Result<Option<Self>> {
        match Self::take(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(lock) => Ok(Some(lock)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = flock(&self.0, FlockOperation::Unlock) {
            tracing::warn!(%error, "a lock of the image store goes back late");
        }
    }
}

impl OwnFolder {
    /// Removes what processes that are gone left in `tmp`, and makes a folder of our own there.
    pub fn make(tmp: &Path) -> Result<Self, Cause> {
        let (own, left) = {
            // Between making a folder and locking it, it looks like one of a process that is gone.
            let _one_at_a_time = one_at_a_time(tmp)?;
            let left = claim_left(tmp).map_err(|error| Cause::storage("empty", tmp, error))?;
            (Self::make_next(tmp).map_err(|error| Cause::storage("make a folder in", tmp, error))?, left)
        };
        remove_claimed(left);
        Ok(own)
    }

    fn make_next(tmp: &Path) -> io::Result<Self> {
        for number in 0_u32.. {
            let path = tmp.join(format!("{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    let lock = Lock::take(File::open(&path)?, FlockOperation::LockExclusive)?;
                    return Ok(Self { path, _lock: lock });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Removes what processes that are gone left in `tmp`.
    pub fn remove_left(tmp: &Path) -> Result<(), Cause> {
        let left = {
            let _one_at_a_time = one_at_a_time(tmp)?;
            claim_left(tmp).map_err(|error| Cause::storage("empty", tmp, error))?
        };
        remove_claimed(left);
        Ok(())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for OwnFolder {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a folder for work under way stays behind");
        }
    }
}

/// Held by whoever brings an image that no release names yet; any number of them at once.
pub(crate) fn bringing(root: &Path) -> io::Result<Lock> {
    Lock::take(open(&root.join("sweep.lock"))?, FlockOperation::LockShared)
}

/// Held from the look whether a layer is in place to the rename that puts it there.
pub(crate) fn placing(root: &Path) -> Result<Lock, Cause> {
    Lock::take_soon(root.join("place.lock"), PATIENCE)
}

/// Held by the sweep; `None` while somebody brings an image.
pub(crate) fn sweeping(root: &Path) -> io::Result<Option<Lock>> {
    Lock::take_if_free(open(&root.join("sweep.lock"))?)
}

/// Held while a process makes its folder, or claims those of processes that are gone.
fn one_at_a_time(tmp: &Path) -> Result<Lock, Cause> {
    Lock::take_soon(tmp.with_extension("lock"), PATIENCE)
}

fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().create(true).truncate(false).write(true).mode(0o600).open(path)
}

/// What processes that are gone left. Nobody else removes it as long as its lock is held.
struct Left {
    path: PathBuf,
    /// `None` for what is no folder.
    lock: Option<Lock>,
}

/// Claims what no living process holds. Removing it may take long, which nobody shall wait for.
fn claim_left(tmp: &Path) -> io::Result<Vec<Left>> {
    let mut left = Vec::new();
    for entry in fs::read_dir(tmp)? {
        let path = entry?.path();
        match claim_if_left(&path) {
            Ok(claimed) => left.extend(claimed),
            Err(error) => stays(&path, error),
        }
    }
    Ok(left)
}

/// Claims what lies there, unless a living process holds its lock.
fn claim_if_left(path: &Path) -> io::Result<Option<Left>> {
    let path = path.to_owned();
    if !fs::symlink_metadata(&path)?.is_dir() {
        return Ok(Some(Left { path, lock: None }));
    }
    let lock = Lock::take_if_free(File::open(&path)?)?;
    Ok(lock.map(|lock| Left { path, lock: Some(lock) }))
}

fn remove_claimed(left: Vec<Left>) {
    for Left { path, lock } in left {
        let removed = if lock.is_some() { remove_tree(&path) } else { fs::remove_file(&path) };
        if let Err(error) = removed {
            stays(&path, error);
        }
    }
}

/// It takes room and nothing else, which is no reason not to serve what is in place.
fn stays(path: &Path, error: io::Error) {
    // Unless its process ended just now and took it along.
    if error.kind() != io::ErrorKind::NotFound {
        tracing::warn!(path = %path.display(), %error, "what an interrupted run left cannot be removed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_living_process_works_on_stays_and_the_rest_goes() {
        let root = tempfile::tempdir().unwrap();
        let tmp = root.path().join("tmp");
        fs::create_dir_all(tmp.join("999-0/left")).unwrap();
        fs::write(tmp.join("stray"), "").unwrap();
        let first = OwnFolder::make(&tmp).unwrap();
        assert!(!tmp.join("999-0").exists() && !tmp.join("stray").exists());

        fs::write(first.path().join("work"), "under way").unwrap();
        let second = OwnFolder::make(&tmp).unwrap();
        assert!(first.path().join("work").exists(), "the first one still works there");
        let gone = second.path().to_owned();
        drop(second);
        assert!(!gone.exists());
    }

    #[test]
    fn what_cannot_be_removed_keeps_no_store_from_opening() {
        use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let tmp = root.path().join("tmp");
        let busy = tmp.join("999-0/busy");
        fs::create_dir_all(&busy).unwrap();
        mount("tmpfs", &busy, "tmpfs", MountFlags::empty(), None).unwrap();
        let opened = OwnFolder::make(&tmp);
        let stays = busy.exists();
        unmount(&busy, UnmountFlags::DETACH).unwrap();
        assert!(opened.unwrap().path().exists() && stays);
        OwnFolder::make(&tmp).unwrap();
        assert!(!tmp.join("999-0").exists());
    }

    #[test]
    fn nobody_waits_while_what_is_left_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let tmp = root.path().join("tmp");
        let left = tmp.join("999-0");
        fs::create_dir_all(&left).unwrap();
        let claimed = claim_left(&tmp).unwrap();

        let other = OwnFolder::make(&tmp).unwrap();
        OwnFolder::remove_left(&tmp).unwrap();
        assert!(left.exists(), "somebody else removes it");
        remove_claimed(claimed);
        assert!(!left.exists() && other.path().exists());
    }

    /// As of a process that was stopped with Ctrl-Z.
    #[test]
    fn a_lock_that_is_not_given_back_is_an_error_that_names_it() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("place.lock");
        let held = placing(root.path()).unwrap();
        let waited = Lock::take_soon(path.clone(), Duration::from_millis(20)).unwrap_err();
        let error = crate::ImageError::new("app", model::Phase::Pull, waited);
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert!(error.hint().unwrap().contains("lslocks"), "{:?}", error.hint());
        drop(held);
        Lock::take_soon(path, Duration::ZERO).unwrap();
    }

    #[test]
    fn the_sweep_waits_for_who_brings_an_image() {
        let root = tempfile::tempdir().unwrap();
        let one = bringing(root.path()).unwrap();
        let two = bringing(root.path()).unwrap();
        assert!(sweeping(root.path()).unwrap().is_none());
        drop((one, two));
        assert!(sweeping(root.path()).unwrap().is_some());
    }

    #[test]
    fn a_lock_is_free_at_once_though_a_child_still_has_a_copy_of_it() {
        let root = tempfile::tempdir().unwrap();
        for _ in 0..3 {
            let lock = sweeping(root.path()).unwrap().expect("nobody holds it any more");
            // What a child has between being forked and running its program.
            let of_a_child = lock.0.try_clone().unwrap();
            drop(lock);
            drop(sweeping(root.path()).unwrap().expect("nobody holds it any more"));
            drop((bringing(root.path()).unwrap(), placing(root.path()).unwrap()));
            drop(of_a_child);
        }
    }
}
