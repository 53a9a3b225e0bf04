//! What a path is answered with.

use std::env;
use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use crate::log;
use crate::page::Page;

/// Pieces of a download.
const PIECE: usize = 1024;
const MIB: usize = 1 << 20;

/// What every request gets instead of an answer, from `HELLO_ANSWER`.
#[derive(Clone, Copy)]
pub enum Instead {
    /// Nothing is instead.
    Answer,
    Status(u16),
    Close,
    Silence,
}

impl Instead {
    pub fn from_environment() -> Self {
        match env::var("HELLO_ANSWER").as_deref() {
            Ok("close") => Self::Close,
            Ok("silence") => Self::Silence,
            Ok(status) => status.parse().map_or(Self::Answer, Self::Status),
            Err(_) => Self::Answer,
        }
    }
}

/// Sends the answer for a path.
pub fn send(to: &mut impl Write, page: &Page, path: &str, instead: Instead) -> io::Result<()> {
    if let Instead::Status(status) = instead {
        return send_text(to, page, status, "text/plain", "as HELLO_ANSWER says\n");
    }
    let words: Vec<_> = path.split('/').skip(1).collect();
    let number = |index: usize| words.get(index).and_then(|word: &&str| word.parse::<u32>().ok());
    match (words[..].first().copied(), number(1), number(2)) {
        (Some("slow"), Some(pause), None) => {
            thread::sleep(Duration::from_millis(pause.into()));
            send_text(to, page, 200, "text/plain", &format!("{path}\n"))
        }
        (Some("download"), Some(kib), Some(time)) => send_download(to, page, kib, time),
        (Some("events"), Some(count), Some(pause)) => send_events(to, page, count, pause),
        (Some("crash"), Some(code), None) => {
            log(&format!("ending with code {code}, as a request asks"));
            std::process::exit(i32::try_from(code).unwrap_or(1));
        }
        (Some(""), ..) => send_text(to, page, 200, "text/html; charset=utf-8", &page.html()),
        (Some("eat"), Some(mib), None) => {
            // Written to, because memory that is only asked for is not used.
            std::mem::forget(vec![1_u8; mib as usize * MIB]);
            send_text(to, page, 200, "text/plain", "eaten\n")
        }
        (Some("sick"), ..) => {
            page.is_sick.store(true, Ordering::Relaxed);
            send_text(to, page, 200, "text/plain", "sick from now on\n")
        }
        (Some("health"), None, None) if page.is_sick.load(Ordering::Relaxed) => {
            send_text(to, page, 503, "text/plain", "sick\n")
        }
        (Some("health"), None, None) => send_text(to, page, 200, "text/plain", "ok\n"),
        _ => send_text(to, page, 200, "text/plain", &format!("{path}\n")),
    }
}

fn send_text(to: &mut impl Write, page: &Page, status: u16, kind: &str, body: &str) -> io::Result<()> {
    let elsewhere = if (300..400).contains(&status) { "location: /elsewhere\r\n" } else { "" };
    write!(
        to,
        "HTTP/1.1 {status} Hello\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n{elsewhere}{}\r\n{body}",
        body.len(),
        page.headers(),
    )
}

fn send_download(to: &mut impl Write, page: &Page, kib: u32, time: u32) -> io::Result<()> {
    let length = kib as usize * PIECE;
    write!(
        to,
        "HTTP/1.1 200 Hello\r\ncontent-type: application/octet-stream\r\ncontent-length: {length}\r\n{}\r\n",
        page.headers(),
    )?;
    let pause = Duration::from_millis(time.into()) / kib.max(1);
    for _ in 0..kib {
        to.write_all(&[b'x'; PIECE])?;
        thread::sleep(pause);
    }
    Ok(())
}

/// Server-sent events (WHATWG HTML, "Server-sent events"), in chunks, as their number need not be known.
fn send_events(to: &mut impl Write, page: &Page, count: u32, pause: u32) -> io::Result<()> {
    write!(
        to,
        "HTTP/1.1 200 Hello\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n{}\r\n",
        page.headers(),
    )?;
    for number in 0..count {
        let event = format!("data: {number}\n\n");
        write!(to, "{:x}\r\n{event}\r\n", event.len())?;
        thread::sleep(Duration::from_millis(pause.into()));
    }
    write!(to, "0\r\n\r\n")
}
