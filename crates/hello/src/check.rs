//! Asking the server of the same container for its health, as a probe does that runs a command.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::ExitCode;

use crate::log;

pub fn ask() -> ExitCode {
    match is_healthy() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            log("not healthy");
            ExitCode::FAILURE
        }
        Err(error) => {
            log(&format!("not asked: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn is_healthy() -> io::Result<bool> {
    let port = env::var("PORT").unwrap_or_else(|_| "8080".to_owned());
    let mut connection = TcpStream::connect(format!("127.0.0.1:{port}"))?;
    connection.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    let mut status = String::new();
    BufReader::new(connection).read_line(&mut status)?;
    Ok(status.contains(" 200 "))
}
