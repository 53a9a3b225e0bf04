//! The sample application: an HTTP server that says which release it is.
//!
//! `GET /` is a page for people, `GET /health` answers `ok`, and every other path is echoed as text, so that
//! a test can tell that the answer belongs to its request. Each answer bears the header `x-release`.
//!
//! Variables that it reads:
//! - `PORT`: the port to listen on, 8080 without it;
//! - `HELLO_TEXT`: the words of the page;
//! - `HELLO_BIND`: an address to listen on instead of `0.0.0.0:PORT`, to see what Darsena says about an
//!   application that listens where nobody reaches it;
//! - `HELLO_EXIT`: an exit code to end with at once, to see what Darsena says about one that crashes.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use nix::sys::signal::{SigSet, Signal};

fn main() -> ExitCode {
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
    thread::spawn(move || accept(&listener));

    let signal = stop.wait().expect("waiting for a signal works");
    log(&format!("{signal}: bye"));
    ExitCode::SUCCESS
}

fn accept(listener: &TcpListener) {
    let page = Arc::new(Page::from_environment());
    for connection in listener.incoming().flatten() {
        let page = Arc::clone(&page);
        thread::spawn(move || serve(&connection, &page));
    }
}

/// Answers requests until the client goes.
fn serve(connection: &TcpStream, page: &Page) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection);
    while let Some(path) = read_request(&mut reader)? {
        let (kind, body) = page.answer(&path);
        write!(
            &mut &*connection,
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nx-release: {}\r\n\r\n{body}",
            body.len(),
            page.release,
        )?;
        if path != "/health" {
            log(&format!("GET {path}"));
        }
    }
    Ok(())
}

/// Reads one request and gives its path; `None` at the end of the connection. A body is skipped.
fn read_request(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or("/").to_owned();
    let mut body_length = 0;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? <= 2 {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            body_length = value.trim().parse().unwrap_or(0);
        }
    }
    io::copy(&mut io::Read::take(reader, body_length), &mut io::sink())?;
    Ok(Some(path))
}

struct Page {
    text: String,
    app: String,
    release: String,
}

impl Page {
    fn from_environment() -> Self {
        let read = |name: &str, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
        Page {
            text: read("HELLO_TEXT", "Your application is running."),
            app: read("DARSENA_APP", "hello"),
            release: read("DARSENA_RELEASE", "none"),
        }
    }

    /// Content type and body for a path.
    fn answer(&self, path: &str) -> (&'static str, String) {
        match path {
            "/" => ("text/html; charset=utf-8", self.html()),
            "/health" => ("text/plain", "ok\n".to_owned()),
            other => ("text/plain", format!("{other}\n")),
        }
    }

    fn html(&self) -> String {
        let (text, app, release) = (escape(&self.text), escape(&self.app), escape(&self.release));
        format!(
            "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
             <title>{app}</title><style>body{{font:18px/1.6 system-ui,sans-serif;max-width:36rem;margin:20vh auto;\
             padding:0 1rem;color:#10344a;background:#f3f8fb}}h1{{font-size:2.4rem;margin:0}}code{{color:#4b6b7d}}\
             </style><h1>Ahoy from {app}</h1><p>{text}</p><p><code>release {release}</code></p></html>\n"
        )
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// One line on standard output, which is the container's log.
fn log(line: &str) {
    // A reader that went away is no reason to end.
    let _ = writeln!(io::stdout(), "{line}");
}
