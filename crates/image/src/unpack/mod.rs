//! The unpack role: a process of its own that turns one layer's bytes into files.

use std::ffi::OsString;
use std::process::ExitCode;

/// Entry of the role. Call it before any thread exists; arguments are those after the role's name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let _ = args.into_iter();
    ExitCode::FAILURE
}
