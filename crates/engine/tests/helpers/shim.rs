//! The shim role on its own, for tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    engine::shim::run(&args)
}
