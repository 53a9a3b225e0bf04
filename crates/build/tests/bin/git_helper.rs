//! The roles that git is given, as a program of its own for tests.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    build::git::helper(&arguments).unwrap_or(ExitCode::FAILURE)
}
