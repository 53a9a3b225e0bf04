//! Small private files beside the database: there as a whole or not at all, also after a power cut.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::{Result, StoreError};

/// Makes the data folder, for nobody else, when there is none.
pub fn make_folder(path: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("making the folder", path))
}

/// Writes a file with mode 0600: beside its place, synced, then renamed.
pub fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".unfinished");
    let beside = Path::new(&beside);
    let write = || -> io::Result<()> {
        remove_if_there(beside)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        drop(file);
        rename(beside, path)
    };
    write().map_err(failed("writing", path))
}

/// Makes an empty file with mode 0600, or takes what is there from everybody else.
pub fn make_private(path: &Path) -> Result<()> {
    let make = || -> io::Result<()> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        sync_folder_of(path)
    };
    make().map_err(failed("opening", path))
}

/// Whether there is a file.
pub fn exists(path: &Path) -> Result<bool> {
    path.try_exists().map_err(failed("looking for", path))
}

/// Waits until the content of a file is on the disk.
pub fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(failed("writing", path))
}

/// Renames a file that is synced already.
pub fn put_in_place(beside: &Path, path: &Path) -> Result<()> {
    rename(beside, path).map_err(failed("writing", path))
}

/// Removes a file; one that is not there is fine.
pub fn remove(path: &Path) -> Result<()> {
    remove_if_there(path).map_err(failed("removing", path))
}

/// Puts action and path to an I/O error.
pub fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::File { action, path, source }
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)?;
    sync_folder_of(to)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
