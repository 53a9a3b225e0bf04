//! The ingress role alone, as a program for tests of the process.

use std::fs::{self, File};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::ExitCode;

use ingress::ProcessConfig;

/// Started as `ingress-role --http ADDRESS --control SOCKET --state FOLDER`, in this order. With `hang` before that it
/// is there and never says anything.
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if let [_, hang, _, _, _, control, _, state] = args.as_slice()
        && hang == "hang"
    {
        return do_nothing(control.as_ref(), state.as_ref());
    }
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

fn do_nothing(control: &Path, state: &Path) -> ExitCode {
    fs::create_dir_all(state).expect("a folder");
    let lock = File::create(state.join("ingress.lock")).expect("a lock");
    lock.try_lock().expect("the lock");
    let _listener = UnixListener::bind(control).expect("a socket");
    loop {
        std::thread::park();
    }
}
