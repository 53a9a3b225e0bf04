//! The room role as a program of its own, as tests start it.

use std::process::ExitCode;

fn main() -> ExitCode {
    build::room::run(&std::env::args_os().skip(1).collect::<Vec<_>>())
}
