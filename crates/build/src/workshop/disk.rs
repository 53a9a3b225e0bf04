//! Folders and room on the disk.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Makes a folder that only we may enter.
pub(super) fn make_private(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

/// Removes a folder with all that is in it, beside the runtime's own work. None is fine.
pub(super) async fn remove(folder: PathBuf) -> io::Result<()> {
    tokio::task::spawn_blocking(move || remove_now(&folder)).await.map_err(io::Error::other)?
}

pub(super) fn remove_now(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Bytes that are free on the disk of a folder.
pub(super) fn free(folder: &Path) -> io::Result<u64> {
    let usage = rustix::fs::statvfs(folder)?;
    Ok(usage.f_bavail.saturating_mul(usage.f_frsize))
}

/// Bytes of the files in a folder, as they are long. A folder that is not there has none.
pub(super) fn size_of_files(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).fold(0, |sum, data| sum.saturating_add(data.len()))
}
