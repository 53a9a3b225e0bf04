//! An unpacked layer goes to its place: marked, made last, renamed once.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use model::image::DiffId;
use rustix::fs::{Mode, OFlags, ResolveFlags, XattrFlags, fsetxattr, open, openat2, syncfs};
use rustix::io::Errno;

use crate::Cause;
use crate::disk::{Folders, LayerRecord, Scratch, remove_tree, sync_folder};
use crate::unpack::report::{PathBytes, Unpacked};
use crate::unpack::{FILES, TRASH};

/// Puts the layer in place. Everything is on disk before the rename, so a layer in place is whole even after a
/// power cut.
pub(super) fn put_in_place(
    folders: &Folders,
    scratch: &Scratch,
    diff_id: &DiffId,
    unpacked: Unpacked,
) -> Result<(), Cause> {
    let place = folders.layer(diff_id);
    if folders.layer_record(diff_id).is_some() {
        // Another process was faster; its files are the same and may be in use.
        return Ok(());
    }
    finish(folders, scratch.path(), &place, diff_id, unpacked)
        .map_err(|error| Cause::storage("write", place, error))
}

fn finish(
    folders: &Folders,
    from: &Path,
    place: &Path,
    diff_id: &DiffId,
    unpacked: Unpacked,
) -> io::Result<()> {
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
    // One call for all files: it also reports what could not be written since this handle was opened.
    syncfs(File::open(from)?)?;
    if place.exists() {
        // It has no readable record, or it would have been used.
        fs::rename(place, folders.scratch_path())?;
    }
    fs::rename(from, place)?;
    sync_folder(&folders.layers())
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
