//! The ingress role alone, as a program for tests of the process.

use std::process::ExitCode;

fn main() -> ExitCode {
    let config = ingress::ProcessConfig::from_args(std::env::args_os().skip(1));
    match config.and_then(ingress::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let words = format!("{error}\n");
            let _ = std::io::Write::write_all(&mut std::io::stderr(), words.as_bytes());
            ExitCode::FAILURE
        }
    }
}
