//! Removing trees that other people made.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

/// How often a folder is looked at again, and the pause between.
const LOOKED_AT_AGAIN: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Removes a directory and all beneath it, by handle, following no link. Sub-directories of sub-directories are
/// moved up to the top, so that neither depth nor path length matters, and only two of them are open at once.
///
/// It makes no file and no folder, and moves nothing before the files beside it are gone: a disk without a free
/// inode or block is where it is needed most.
///
/// A folder that is not empty although it was emptied is looked at again: a listing that is read while entries go may
/// pass one over, and a process that was just killed may have made one more.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    let mut again = LOOKED_AT_AGAIN;
    loop {
        match remove_once(path) {
            Err(error) if again > 0 && error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                again -= 1;
                std::thread::sleep(PAUSE);
            }
            removed => return removed,
        }
    }
}

fn remove_once(path: &Path) -> io::Result<()> {
    let top = fs::open(path, FOLDER, Mode::empty())?;
    let mut moved = 0_u64;
    let mut todo = remove_simple(top.as_fd())?;
    // The last first, so that few wait at the top.
    while let Some(name) = todo.pop() {
        let folder = fs::openat(&top, &*name, FOLDER, Mode::empty())?;
        for full in remove_simple(folder.as_fd())? {
            todo.push(move_up(folder.as_fd(), &full, top.as_fd(), &mut moved)?);
        }
        fs::unlinkat(&top, &*name, AtFlags::REMOVEDIR)?;
    }
    Ok(fs::rmdir(path)?)
}

/// Removes every file and empty folder in a folder, and gives the names of the others.
fn remove_simple(folder: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let mut full = Vec::new();
    let mut entries = Dir::read_from(folder)?;
    while let Some(entry) = entries.read() {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => {
                FileType::from_raw_mode(fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode)
            }
            known => known,
        };
        if kind != FileType::Directory {
            fs::unlinkat(folder, name, AtFlags::empty())?;
            continue;
        }
        match fs::unlinkat(folder, name, AtFlags::REMOVEDIR) {
            Ok(()) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) => full.push(name.to_owned()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(full)
}

/// Moves a folder to the top, under a name that none has there, or only an empty one, and gives that name.
fn move_up(from: BorrowedFd<'_>, name: &CStr, top: BorrowedFd<'_>, moved: &mut u64) -> io::Result<CString> {
    loop {
        *moved += 1;
        let new = CString::new(format!(".removing-{moved}"))?;
        match fs::renameat(from, name, top, &*new) {
            Ok(()) => return Ok(new),
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_trees_go_and_what_links_point_at_stays() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("kept"), "x").unwrap();
        let place = tempfile::tempdir().unwrap();
        let tree = place.path().join("tree");
        std::fs::create_dir_all(tree.join("a/b/c")).unwrap();
        for number in [1, 2, 4] {
            std::fs::create_dir_all(tree.join(format!(".removing-{number}/x/y"))).unwrap();
        }
        std::fs::write(tree.join("a/file"), "x").unwrap();
        std::os::unix::fs::symlink(outside.path(), tree.join("a/b/link")).unwrap();

        // Deeper than any path may be long, and than files may be open.
        let mut here = fs::open(&tree, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        for _ in 0..5000 {
            fs::mkdirat(&here, "d", Mode::RWXU).unwrap();
            here = fs::openat(&here, "d", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        }

        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        assert!(outside.path().join("kept").exists());
        assert_eq!(remove_tree(&tree).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
    /// A small tmpfs; unmounted when dropped.
    struct SmallDisk<'a>(&'a Path);

    impl Drop for SmallDisk<'_> {
        fn drop(&mut self) {
            let _ = rustix::mount::unmount(self.0, rustix::mount::UnmountFlags::DETACH);
        }
    }

    #[test]
    fn a_full_disk_is_no_hindrance() {
        use rustix::mount::{MountFlags, mount};
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let options = c"size=256k,nr_inodes=40";
        mount("tmpfs", place.path(), "tmpfs", MountFlags::empty(), Some(options)).unwrap();
        let _disk = SmallDisk(place.path());
        let tree = place.path().join("tree");
        for folder in ["fs/a/b/c", "fs/a/d/e", "trash/1/2"] {
            std::fs::create_dir_all(tree.join(folder)).unwrap();
            std::fs::write(tree.join(folder).join("file"), [1; 4096]).unwrap();
        }
        let full = |error: io::Error| error.kind() == io::ErrorKind::StorageFull;
        assert!(std::fs::write(tree.join("fs/a/b/c/large"), vec![1; 1 << 20]).is_err_and(full));
        let refused = (0..100).find_map(|n| std::fs::create_dir(tree.join(format!("fs/{n}"))).err());
        assert!(refused.is_some_and(full), "no inode is left");

        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
    }
}
