//! Deleting what a container wrote. It may be hostile: links, and folders deeper than any path can be long.

use std::fs;
use std::io;
use std::path::Path;

/// Deletes `path` and all beneath it, following no link; an absent one is fine.
///
/// A folder inside a folder is first moved up to the top, so the depth never grows beyond two: deep trees
/// need neither stack nor open files nor long paths. Nobody else may write there any more.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Ok(metadata) if !metadata.is_dir() => return fs::remove_file(path),
        found => found?,
    };
    let mut moved = 0_u64;
    loop {
        let folders = remove_files(path)?;
        if folders.is_empty() {
            return fs::remove_dir(path);
        }
        for folder in folders {
            for inner in remove_files(&folder)? {
                moved = move_to_top(path, &inner, moved)?;
            }
            fs::remove_dir(&folder)?;
        }
    }
}

/// Deletes everything in a folder but its folders, and gives those.
fn remove_files(folder: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => folders.push(entry.path()),
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(folders)
}

/// The names at the top are the container's choice, so a taken one is passed over.
fn move_to_top(top: &Path, inner: &Path, mut moved: u64) -> io::Result<u64> {
    loop {
        let place = top.join(format!("moved-{moved}"));
        moved += 1;
        if fs::symlink_metadata(&place).is_err() {
            fs::rename(inner, place)?;
            return Ok(moved);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_deeper_than_any_path_goes_and_what_links_point_at_stays() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("kept"), "").unwrap();
        let parent = tempfile::tempdir().unwrap();
        let top = parent.path().join("top");
        // Built from the inside out, because no path is long enough to name the innermost folder.
        fs::create_dir(&top).unwrap();
        for _ in 0..2000 {
            let next = parent.path().join("next");
            fs::create_dir(&next).unwrap();
            std::os::unix::fs::symlink(outside.path(), next.join("link")).unwrap();
            fs::create_dir(next.join("moved-0")).unwrap();
            fs::rename(&top, next.join("deep")).unwrap();
            fs::rename(&next, &top).unwrap();
        }
        remove_tree(&top).unwrap();
        remove_tree(&top).unwrap();
        assert!(!top.exists());
        assert!(outside.path().join("kept").exists());
    }
}
