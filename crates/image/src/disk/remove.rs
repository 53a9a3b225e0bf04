//! Removing trees that other people made.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Removes a directory and all beneath it, by handle, following no link. Sub-directories are first moved up
/// to the top, so that neither depth nor path length matters, and only two of them are open at once.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let top = fs::open(path, flags, Mode::empty())?;
    let mut moved = 0_u64;
    let mut todo: VecDeque<String> = VecDeque::new();
    // The names at the top are the tree's own; moved ones go to a folder whose name none of them has.
    let lift = unused_name(top.as_fd())?;
    fs::mkdirat(&top, &lift, Mode::RWXU)?;
    let lifted = fs::openat(&top, &lift, flags, Mode::empty())?;

    empty(top.as_fd(), Some(&lift), lifted.as_fd(), &mut moved, &mut todo)?;
    while let Some(name) = todo.pop_front() {
        let folder = fs::openat(&lifted, &name, flags, Mode::empty())?;
        empty(folder.as_fd(), None, lifted.as_fd(), &mut moved, &mut todo)?;
        fs::unlinkat(&lifted, &name, AtFlags::REMOVEDIR)?;
    }
    fs::unlinkat(&top, &lift, AtFlags::REMOVEDIR)?;
    Ok(fs::rmdir(path)?)
}

/// Removes every file in a folder and moves every sub-directory away.
fn empty(
    folder: BorrowedFd<'_>,
    except: Option<&str>,
    lifted: BorrowedFd<'_>,
    moved: &mut u64,
    todo: &mut VecDeque<String>,
) -> io::Result<()> {
    let mut entries = Dir::read_from(folder)?;
    while let Some(entry) = entries.read() {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..")
            || except.is_some_and(|except| name.to_bytes() == except.as_bytes())
        {
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
            Err(Errno::NOTEMPTY | Errno::EXIST) => {
                *moved += 1;
                let new = moved.to_string();
                fs::renameat(folder, name, lifted, &new)?;
                todo.push_back(new);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn unused_name(folder: BorrowedFd<'_>) -> io::Result<String> {
    for number in 0_u64.. {
        let name = format!(".removing-{number}");
        match fs::statat(folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(name),
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
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
        std::fs::create_dir_all(tree.join(".removing-0/x/y")).unwrap();
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
}
