//! The folder of one call: what git and ssh need of a login, where nobody else can read it, for as long as the call
//! lasts.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::Cause;
use super::helper::Role;

/// A folder below the scratch folder. Dropped, it is removed.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub fn make(scratch: &Path) -> Result<Self, Cause> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let path = scratch.join(NEXT.fetch_add(1, Ordering::Relaxed).to_string());
        DirBuilder::new().mode(0o700).create(&path).map_err(|error| Cause::storage("make", &path, error))?;
        Ok(Self { path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file that only its owner reads.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf, Cause> {
        let path = self.path.join(name);
        let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let written = written.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| Cause::storage("write", &path, error))?;
        Ok(path)
    }

    /// Makes a link to our own program, which then plays the role of the link's name.
    pub fn link(&self, role: Role, program: &Path) -> Result<PathBuf, Cause> {
        let path = self.path.join(role.name());
        symlink(program, &path).map_err(|error| Cause::storage("make", &path, error))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(folder = %self.path.display(), %error, "secrets of a Git call are still there");
        }
    }
}

/// Makes the scratch folder, or empties it of what a killed process left.
pub(super) fn open_scratch(scratch: &Path) -> io::Result<()> {
    match DirBuilder::new().recursive(true).mode(0o700).create(scratch) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    for entry in fs::read_dir(scratch)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}
