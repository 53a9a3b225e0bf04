//! What the room wrote: an OCI layout of plain files, and nothing else.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid, fchmod, fchown, openat};

/// How deep an image layout is: `blobs/sha256/HEX`.
const DEPTH: u32 = 3;

/// Makes a finished layout ours. Refuses links, devices and whatever else is no part of one. The room has ended, so
/// nobody changes anything meanwhile.
pub(super) fn adopt(layout: &Path) -> io::Result<()> {
    let folder = openat(rustix::fs::CWD, layout, FOLDER, Mode::empty())?;
    adopt_folder(folder.as_fd(), DEPTH)
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

fn adopt_folder(folder: BorrowedFd<'_>, depth: u32) -> io::Result<()> {
    take(folder, 0o700)?;
    let mut entries = Dir::read_from(folder)?;
    while let Some(entry) = entries.read() {
        let entry = entry?;
        let name = entry.file_name();
        if [c".", c".."].contains(&name) {
            continue;
        }
        let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory if depth > 1 => {
                adopt_folder(openat(folder, name, FOLDER, Mode::empty())?.as_fd(), depth - 1)?;
            }
            FileType::RegularFile if stat.st_nlink == 1 => {
                take(openat(folder, name, FILE, Mode::empty())?.as_fd(), 0o600)?;
            }
            _ => return Err(io::Error::other(format!("{} is no part of an image", name.to_string_lossy()))),
        }
    }
    Ok(())
}

fn take(file: BorrowedFd<'_>, mode: u32) -> io::Result<()> {
    fchown(file, Some(Uid::ROOT), Some(Gid::ROOT))?;
    Ok(fchmod(file, Mode::from_raw_mode(mode))?)
}
