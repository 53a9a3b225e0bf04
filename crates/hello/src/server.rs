//! Connections and their requests.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::answer::{self, Instead};
use crate::log;
use crate::page::Page;

/// What matters of a request.
pub struct Request {
    pub path: String,
    /// Whether the client wants to speak `echo` from here on.
    pub wants_echo: bool,
}

/// Takes connections for ever.
pub fn accept(listener: &TcpListener) {
    let page = Arc::new(Page::from_environment());
    let instead = Instead::from_environment();
    for connection in listener.incoming().flatten() {
        let page = Arc::clone(&page);
        thread::spawn(move || match instead {
            Instead::Close => {}
            Instead::Silence => thread::sleep(Duration::from_secs(3600)),
            Instead::Answer | Instead::Status(_) => {
                // The client went away; there is nobody to tell.
                let _ = serve(&connection, &page, instead);
            }
        });
    }
}

/// Answers requests until the client goes.
fn serve(connection: &TcpStream, page: &Page, instead: Instead) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection);
    while let Some(request) = read_request(&mut reader)? {
        if request.wants_echo {
            write!(&mut &*connection, "HTTP/1.1 101 Switching Protocols\r\n{}", switched(page))?;
            return io::copy(&mut reader, &mut &*connection).map(drop);
        }
        answer::send(&mut &*connection, page, &request.path, instead)?;
    }
    Ok(())
}

fn switched(page: &Page) -> String {
    format!("connection: upgrade\r\nupgrade: echo\r\n{}\r\n", page.headers())
}

/// Reads one request; `None` at the end of the connection. A body is skipped.
fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or("/").to_owned();
    let (mut body_length, mut wants_echo) = (0, false);
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? <= 2 {
            break;
        }
        let Some((name, value)) = header.split_once(':') else { continue };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => body_length = value.trim().parse().unwrap_or(0),
            "upgrade" => wants_echo = value.trim() == "echo",
            _ => {}
        }
    }
    if path != "/health" {
        log(&format!("GET {path}"));
    }
    io::copy(&mut io::Read::take(reader, body_length), &mut io::sink())?;
    Ok(Some(Request { path, wants_echo }))
}
