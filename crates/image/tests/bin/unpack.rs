//! The unpack role as a program of its own, as tests start it.

use std::process::ExitCode;

fn main() -> ExitCode {
    image::unpack::run(std::env::args_os().skip(1))
}
