//! Room that is left alone: a disk filled to the brim by an image stops more than the image.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfs, fstatvfs, statvfs};

use super::Folders;
use crate::Cause;

/// Bytes that stay free on a large disk.
const LARGEST_RESERVE: u64 = 512 << 20;
/// Files (inodes) that can still be made on a large disk.
const LARGEST_FILE_RESERVE: u64 = 10_000;
/// Otherwise this part of the disk: one in twenty.
const RESERVED_PART: u64 = 20;

/// What a disk lacks that has bytes to spare and takes no file.
pub(crate) const NO_INODE: &str = "no inode is left for another file";

/// What is free on a disk for somebody without privileges.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Free {
    bytes: u64,
    all_bytes: u64,
    files: u64,
    /// 0 on file systems that make room for files as they go.
    all_files: u64,
}

impl Folders {
    /// Refuses to begin what takes at least so many bytes on a disk that then has hardly any left.
    pub fn has_room_for(&self, bytes: u64) -> Result<(), Cause> {
        has_room(self.root(), bytes)
    }
}

/// The same for the disk of any folder.
pub(crate) fn has_room(folder: &Path, bytes: u64) -> Result<(), Cause> {
    let free = Free::at(folder).map_err(|error| Cause::storage("look at the disk of", folder, error))?;
    match free.lacks(bytes) {
        None => Ok(()),
        Some(why) => Err(Cause::DiskFull { folder: folder.to_owned(), why }),
    }
}

impl Free {
    pub fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::read(statvfs(path)?))
    }

    /// On the disk of something open.
    pub fn on(file: impl AsFd) -> io::Result<Self> {
        Ok(Self::read(fstatvfs(file)?))
    }

    fn read(disk: StatVfs) -> Self {
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        Self {
            bytes: bytes(disk.f_bavail),
            all_bytes: bytes(disk.f_blocks),
            files: disk.f_favail,
            all_files: disk.f_files,
        }
    }

    /// What so many bytes more, and a file, would lack; `None` when the reserve stays whole.
    pub fn lacks(&self, bytes: u64) -> Option<String> {
        let reserve = LARGEST_RESERVE.min(self.all_bytes / RESERVED_PART);
        if self.bytes < reserve.saturating_add(bytes) {
            let needed = if bytes > 0 { format!("{} are needed, ", size(bytes)) } else { String::new() };
            return Some(format!("{needed}{} are free and {} stay free", size(self.bytes), size(reserve)));
        }
        let reserve = LARGEST_FILE_RESERVE.min(self.all_files / RESERVED_PART);
        (self.files < reserve).then(|| {
            format!("{} more files (inodes) can be made and {reserve} of them are reserved", self.files)
        })
    }

    /// Whether bytes may be free and yet no file can be made.
    pub fn has_no_inode(&self) -> bool {
        self.all_files > 0 && self.files == 0
    }
}

/// A write to `path` that was refused for lack of room. What could not be made is not there to be asked.
pub(crate) fn disk_full(path: PathBuf) -> Cause {
    let disk = path.ancestors().find_map(|folder| Free::at(folder).ok());
    let why = match disk.is_some_and(|free| free.has_no_inode()) {
        true => NO_INODE,
        false => "no room",
    };
    Cause::DiskFull { folder: path, why: why.to_owned() }
}

/// MiB, and smaller amounts in KiB.
fn size(bytes: u64) -> String {
    match bytes >> 20 {
        0 => format!("{} KiB", bytes >> 10),
        mebibytes => format!("{mebibytes} MiB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_a_part_of_small_disks_and_512_mib_of_large_ones() {
        let lacks = |bytes, all_bytes, more| Free { bytes, all_bytes, files: 0, all_files: 0 }.lacks(more);
        assert!(lacks(51 << 10, 1 << 20, 0).is_some() && lacks(53 << 10, 1 << 20, 0).is_none());
        assert!(lacks(511 << 20, 1 << 40, 0).is_some() && lacks(512 << 20, 1 << 40, 0).is_none());
        assert!(lacks(0, 0, 0).is_none(), "a disk that does not say how large it is");
        assert_eq!(
            lacks(600 << 20, 1 << 40, 100 << 20).unwrap(),
            "100 MiB are needed, 600 MiB are free and 512 MiB stay free"
        );
        assert!(lacks(1 << 40, 1 << 40, u64::MAX).is_some());
    }

    #[test]
    fn files_are_reserved_too() {
        let free = |files, all_files| Free { bytes: 1 << 40, all_bytes: 1 << 40, files, all_files };
        assert!(free(49, 1000).lacks(0).unwrap().contains("49 more files (inodes)"));
        assert!(free(50, 1000).lacks(0).is_none());
        assert!(free(9_999, 1 << 40).lacks(0).is_some() && free(10_000, 1 << 40).lacks(0).is_none());
        assert!(free(0, 0).lacks(0).is_none(), "a disk without a table of inodes");
        assert!(free(0, 1000).has_no_inode() && !free(1, 1000).has_no_inode() && !free(0, 0).has_no_inode());
    }
}
