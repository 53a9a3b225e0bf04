//! What is no longer in its place and not removed yet.
//!
//! It lies in the folder of this process, which nobody else touches while the process lives.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Folders, remove_tree};
use crate::Cause;

const AWAY: &str = "away-";

impl Folders {
    /// A path to move something to that is to be removed, given out once. What stays there, [`Self::remove_away`]
    /// removes. It is a name and not a folder, because a disk without a free inode has no room for a folder.
    pub fn away_path(&self) -> PathBuf {
        self.tmp().join(format!("{AWAY}{}", self.next_number()))
    }

    /// Removes all that lies at such paths. What cannot be removed is no reason to keep the rest; the first failure is
    /// told at the end.
    pub fn remove_away(&self) -> Result<(), Cause> {
        let tmp = self.tmp();
        let mut failed = None;
        for entry in fs::read_dir(&tmp).map_err(|error| Cause::storage("list", &tmp, error))? {
            let entry = entry.map_err(|error| Cause::storage("list", &tmp, error))?;
            if !entry.file_name().as_encoded_bytes().starts_with(AWAY.as_bytes()) {
                continue;
            }
            if let Err(error) = remove_any(&entry.path()) {
                failed.get_or_insert_with(|| Cause::storage("remove", entry.path(), error));
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

/// Where a layer should have been there may have been anything.
fn remove_any(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() { remove_tree(path) } else { fs::remove_file(path) }
}
