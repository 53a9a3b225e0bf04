//! What a killed supervisor leaves behind for a moment: programs that it was running.
//!
//! The kernel kills them with it, but only after its files are closed, so that its lock may be free a little
//! earlier. Whoever cleans up waits for them, or would meet what they are still making.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::folders::RunFolder;

/// A helper that hangs in the kernel longer than this is left to it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits until no process is named after the container's folder.
pub(super) async fn wait_for_helpers(run: &RunFolder) {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && any_process_names(run.path()) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn any_process_names(folder: &Path) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_number =
        |entry: &fs::DirEntry| entry.file_name().as_bytes().first().is_some_and(u8::is_ascii_digit);
    processes
        .filter(is_number)
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .any(|line| names(&line, folder.as_os_str().as_bytes()))
}

/// Whether an argument is this folder or a path beneath it.
fn names(command_line: &[u8], folder: &[u8]) -> bool {
    command_line.split(|byte| *byte == 0).any(|arg| match arg.strip_prefix(folder) {
        Some(rest) => rest.is_empty() || rest.starts_with(b"/"),
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_told_from_one_whose_name_only_begins_alike() {
        assert!(names(b"shim\0/run/c/0a\0", b"/run/c/0a"));
        assert!(names(b"runc\0--log\0/run/c/0a/runtime.log\0create\0", b"/run/c/0a"));
        assert!(!names(b"shim\0/run/c/0a-1\0", b"/run/c/0a"));
        assert!(!names(b"", b"/run/c/0a"));
    }
}
