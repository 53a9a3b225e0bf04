//! The sample application: an HTTP server that says which release it is.
//!
//! `GET /` is a page for people, `GET /health` answers `ok`, and every path that is not named here is echoed as
//! text, so that a test can tell that the answer belongs to its request. Each answer bears the headers `x-release` and
//! `x-instance`. `hello --check` asks the server of its own container for its health and ends with 0 or 1.
//!
//! Paths that show how a platform treats what takes long:
//! - `/slow/MS` answers after so many milliseconds;
//! - `/download/KIB/MS` sends so many KiB of `x`, evenly over so many milliseconds;
//! - `/events/COUNT/MS` sends so many server-sent events, one every so many milliseconds;
//! - any path with `Upgrade: echo`, and no body, becomes a connection that echoes its bytes until the client
//!   ends it;
//! - `/crash/CODE` ends the whole process with this code;
//! - `/eat/MIB` takes so much memory and keeps it;
//! - after `/sick` the path `/health` answers 503.
//!
//! Variables that it reads:
//! - `PORT`: the port to listen on, 8080 without it;
//! - `HELLO_TEXT`: the words of the page;
//! - `HELLO_BIND`: an address to listen on instead of `0.0.0.0:PORT`, to see what Darsena says about an
//!   application that listens where nobody reaches it;
//! - `HELLO_EXIT`: an exit code to end with at once, to see what Darsena says about one that crashes;
//! - `HELLO_ANSWER`: what every request gets instead of an answer: a status such as `500` or `302`, `close` for a
//!   connection that is closed at once, `silence` for one that is left waiting.

mod answer;
mod check;
mod page;
mod server;

use std::env;
use std::io::{self, Write};
use std::net::TcpListener;
use std::process::ExitCode;
use std::thread;

use nix::sys::signal::{SigSet, Signal};

fn main() -> ExitCode {
    if env::args().nth(1).as_deref() == Some("--check") {
        return check::ask();
    }
    if let Some(code) = env::var("HELLO_EXIT").ok().and_then(|code| code.parse::<u8>().ok()) {
        log(&format!("ending with code {code}, as HELLO_EXIT asks"));
        return ExitCode::from(code);
    }
    // Process 1 of a container ignores SIGTERM unless it asks for it.
    let stop: SigSet = [Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
    stop.thread_block().expect("these signals can be blocked");

    let port = env::var("PORT").unwrap_or_else(|_| "8080".to_owned());
    let address = env::var("HELLO_BIND").unwrap_or_else(|_| format!("0.0.0.0:{port}"));
    let listener = match TcpListener::bind(&address) {
        Ok(listener) => listener,
        Err(error) => {
            log(&format!("cannot listen on {address}: {error}"));
            return ExitCode::FAILURE;
        }
    };
    log(&format!("listening on {address}"));
    thread::spawn(move || server::accept(&listener));

    let signal = stop.wait().expect("waiting for a signal works");
    log(&format!("{signal}: bye"));
    ExitCode::SUCCESS
}

/// One line on standard output, which is the container's log.
fn log(line: &str) {
    // A reader that went away is no reason to end.
    let _ = writeln!(io::stdout(), "{line}");
}
