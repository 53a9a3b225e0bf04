//! An unpacked layer goes to its place: marked, made last, renamed once. One that is there stays, for containers
//! may run on it.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use model::image::DiffId;
use rustix::fs::{Mode, OFlags, ResolveFlags, XattrFlags, fsetxattr, open, openat2};
use rustix::io::Errno;

use crate::Cause;
use crate::disk::{Folders, LayerRecord, Scratch, placing, remove_tree, sync_folder};
use crate::unpack::report::{PathBytes, Unpacked};
use crate::unpack::{FILES, TRASH};

/// Puts the layer in place, unless it is there. Everything is on disk before the rename, so a layer in place is
/// whole even after a power cut.
pub(super) fn put_in_place(
    folders: &Folders,
    scratch: &Scratch,
    diff_id: &DiffId,
    unpacked: Unpacked,
) -> Result<(), Cause> {
    let place = folders.layer(diff_id);
    if folders.layer_record(diff_id).is_some() {
        return Ok(());
    }
    let failed = |error| Cause::storage("write", &place, error);
    finish(scratch, diff_id, unpacked).map_err(failed)?;
    {
        // Only the look and the rename are under the lock of all processes; nobody waits for another one's disk.
        let _lock = placing(folders.root())?;
        rename(folders, scratch.path(), &place, diff_id).map_err(failed)?;
    }
    failpoint::reach("S5");
    // Whoever was faster may not have come to it yet.
    sync_folder(&folders.layers()).map_err(failed)
}

/// Makes the layer whole where it was unpacked.
fn finish(scratch: &Scratch, diff_id: &DiffId, unpacked: Unpacked) -> io::Result<()> {
    let from = scratch.path();
    // The process that wrote here is not trusted: were `fs` a link, it would lead out.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let files = open(from.join(FILES), flags, Mode::empty())?;
    remove_tree(&from.join(TRASH))?;
    for path in &unpacked.opaque_dirs {
        mark_opaque(&files, path)?;
    }
    let record = LayerRecord {
        diff_id: diff_id.clone(),
        bytes: unpacked.bytes,
        entries: unpacked.entries,
        implied_dirs: unpacked.implied_dirs,
    };
    record.write(from)?;
    scratch.sync()
}

fn rename(folders: &Folders, from: &Path, place: &Path, diff_id: &DiffId) -> io::Result<()> {
    if LayerRecord::is_in(place, diff_id)? {
        // Another process was faster; its files are the same and may be in use.
        return Ok(());
    }
    if fs::symlink_metadata(place).is_ok() {
        fs::rename(place, folders.away_path())?;
    }
    fs::rename(from, place)
}

/// `trusted.overlay.opaque` on a directory (kernel, overlayfs.rst). One that a later entry replaced by something
/// else hides what is below anyway.
fn mark_opaque(files: &OwnedFd, path: &PathBytes) -> io::Result<()> {
    let path = path.to_bytes();
    let path: &[u8] = if path.is_empty() { b"." } else { &path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    for _ in 0..1000 {
        match openat2(files, path, flags, Mode::empty(), resolve) {
            Ok(folder) => {
                return Ok(fsetxattr(&folder, "trusted.overlay.opaque", b"y", XattrFlags::empty())?);
            }
            Err(Errno::AGAIN) => {}
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Err(Errno::AGAIN.into())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use model::image::Digest;

    use super::*;

    fn unpacked(folders: &Folders, content: &str) -> (Scratch, Unpacked) {
        let scratch = folders.scratch().unwrap();
        fs::create_dir(scratch.path().join(FILES)).unwrap();
        fs::create_dir(scratch.path().join(TRASH)).unwrap();
        fs::write(scratch.path().join(FILES).join("file"), content).unwrap();
        let (implied_dirs, opaque_dirs) = (Vec::new(), Vec::new());
        (scratch, Unpacked { diff_id: String::new(), bytes: 1, entries: 1, implied_dirs, opaque_dirs })
    }

    #[test]
    fn a_layer_that_another_process_put_in_place_meanwhile_stays() {
        let root = tempfile::tempdir().unwrap();
        let folders = Folders::open(root.path()).unwrap();
        let diff_id = DiffId::new(Digest::from_sha256([7; 32]));
        let place = folders.layer(&diff_id);
        let (slow, late) = unpacked(&folders, "late");
        let (quick, early) = unpacked(&folders, "early");
        finish(&quick, &diff_id, early).unwrap();

        let lock = placing(root.path()).unwrap();
        std::thread::scope(|scope| {
            let putting = scope.spawn(|| put_in_place(&folders, &slow, &diff_id, late));
            let deadline = Instant::now() + Duration::from_secs(20);
            while !LayerRecord::is_in(slow.path(), &diff_id).unwrap() {
                assert!(Instant::now() < deadline, "it waits for the lock too early");
                std::thread::yield_now();
            }
            fs::rename(quick.path(), &place).unwrap();
            drop(lock);
            putting.join().unwrap().unwrap();
        });
        assert_eq!(fs::read_to_string(place.join(FILES).join("file")).unwrap(), "early");
    }

    #[test]
    fn what_has_no_record_gives_way() {
        let root = tempfile::tempdir().unwrap();
        let folders = Folders::open(root.path()).unwrap();
        let diff_id = DiffId::new(Digest::from_sha256([8; 32]));
        fs::create_dir(folders.layer(&diff_id)).unwrap();
        let (scratch, whole) = unpacked(&folders, "whole");
        put_in_place(&folders, &scratch, &diff_id, whole).unwrap();
        assert!(folders.layer_record(&diff_id).is_some());
        folders.remove_away().unwrap();
        drop(scratch);
        assert_eq!(fs::read_dir(folders.tmp()).unwrap().count(), 0, "the next sweep removes what gave way");
    }
}
