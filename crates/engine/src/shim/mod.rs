//! The supervisor of one container, a process of its own.

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the role: `args` is the container's state folder, alone. Call it before anything starts threads.
pub fn run(args: &[OsString]) -> ExitCode {
    let _ = args;
    ExitCode::FAILURE
}
