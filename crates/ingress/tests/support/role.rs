//! The ingress role alone, as a program for tests of the process.

use std::process::ExitCode;

use ingress::ProcessConfig;

/// Started as `ingress-role --http ADDRESS --control SOCKET --state FOLDER`, in this order.
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let [_, _, http, _, control, _, state] = args.as_slice() else { return ExitCode::from(2) };
    let http = http.parse().expect("an address");
    match ingress::run(ProcessConfig { http, control: control.into(), state: state.into() }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let words = format!("{error}\n");
            let _ = std::io::Write::write_all(&mut std::io::stderr(), words.as_bytes());
            ExitCode::FAILURE
        }
    }
}
