//! Which program a process was started from.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Tells two builds of a program apart: the version, and size and time of its file. `None` when there is no such file.
pub(crate) fn of(program: &Path) -> Option<String> {
    let file = fs::metadata(program).ok()?;
    let (version, size) = (env!("CARGO_PKG_VERSION"), file.size());
    Some(format!("{version}+{size}.{}.{}", file.mtime(), file.mtime_nsec()))
}

/// The running program, even when its file was replaced since.
pub(crate) fn own() -> String {
    of(Path::new("/proc/self/exe")).unwrap_or_default()
}
