//! Where HTTP/1 requests begin and end in what a client sends. Pure.
//!
//! hyper reads requests in a forgiving way: it takes one of two equal `Content-Length`, and drops the length
//! when there is a `Transfer-Encoding`. Each such kindness is a request that another server in front of us may
//! read differently, which is how requests are smuggled (RFC 9112, 11.2). [`Framing`] follows the stream before
//! hyper sees it and refuses what can be read in two ways.

/// More than this and the head is not looked at: hyper refuses it with 431.
pub(crate) const MAX_HEAD: usize = 64 << 10;

/// A chunk's size and extensions. Nobody needs extensions.
const MAX_CHUNK_LINE: usize = 256;

const MAX_TRAILERS: usize = 16 << 10;

/// Follows one client's bytes.
#[derive(Debug)]
pub(crate) struct Framing {
    place: Place,
    /// How much of what waits was searched in vain for the end of a line.
    searched: usize,
    /// Where the line that waits for its end begins.
    line: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    Head,
    /// In a body, so many bytes from its end.
    Body(u64),
    ChunkLine,
    /// In a chunk; its CRLF is checked apart.
    Chunk(u64),
    ChunkEnd,
    Trailers,
    /// Hyper refuses what comes, and nothing after it.
    Oversized,
}

/// What may happen to the bytes at hand.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// So many of them may be read.
    Release(usize),
    /// More are needed to judge.
    Wait,
    /// They can be read in two ways.
    Refuse,
}

impl Framing {
    /// At the beginning of a connection.
    pub(crate) fn new() -> Self {
        Self { place: Place::Head, searched: 0, line: 0 }
    }

    /// Whether the next byte is the first of a head.
    pub(crate) fn is_in_body(&self) -> bool {
        self.place != Place::Head
    }

    /// Judges the bytes that follow those released so far.
    pub(crate) fn step(&mut self, bytes: &[u8]) -> Step {
        if bytes.is_empty() {
            return Step::Wait;
        }
        match self.place {
            Place::Head => self.head(bytes),
            Place::Body(left) => self.counted(bytes, left, Place::Body, Place::Head),
            Place::ChunkLine => self.chunk_line(bytes),
            Place::Chunk(left) => self.counted(bytes, left, Place::Chunk, Place::ChunkEnd),
            Place::ChunkEnd => match bytes {
                [b'\r'] => Step::Wait,
                [b'\r', b'\n', ..] => self.release(2, Place::ChunkLine),
                _ => Step::Refuse,
            },
            Place::Trailers => self.trailers(bytes),
            Place::Oversized => Step::Release(bytes.len()),
        }
    }

    fn release(&mut self, count: usize, place: Place) -> Step {
        self.place = place;
        self.searched = 0;
        self.line = 0;
        Step::Release(count)
    }

    fn counted(&mut self, bytes: &[u8], left: u64, same: fn(u64) -> Place, next: Place) -> Step {
        let count = left.min(bytes.len() as u64);
        let place = if count == left { next } else { same(left - count) };
        self.release(count as usize, place)
    }

    /// Empty lines before a request are left to hyper, which skips them.
    fn head(&mut self, bytes: &[u8]) -> Step {
        if bytes.starts_with(b"\r\n") {
            return self.release(2, Place::Head);
        }
        match self.block(bytes) {
            Ok(Some(end)) => match body_after(&bytes[..end]) {
                Some(place) => self.release(end, place),
                None => Step::Refuse,
            },
            Ok(None) if bytes.len() > MAX_HEAD => self.release(bytes.len(), Place::Oversized),
            Ok(None) => Step::Wait,
            Err(Ambiguous) => Step::Refuse,
        }
    }

    fn trailers(&mut self, bytes: &[u8]) -> Step {
        match self.block(bytes) {
            Ok(Some(end)) => self.release(end, Place::Head),
            Ok(None) if bytes.len() > MAX_TRAILERS => Step::Refuse,
            Ok(None) => Step::Wait,
            Err(Ambiguous) => Step::Refuse,
        }
    }

    /// Length of the lines up to and with the empty one, once it is there.
    fn block(&mut self, bytes: &[u8]) -> Result<Option<usize>, Ambiguous> {
        while let Some(end) = self.line_end(bytes)? {
            let line = &bytes[self.line..end - 2];
            if matches!(line.first(), Some(b' ' | b'\t')) {
                return Err(Ambiguous);
            }
            self.line = end;
            if line.is_empty() {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    /// Index after the CRLF of the line that begins at `self.line`. CR and LF only come together.
    fn line_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Ambiguous> {
        for at in self.searched..bytes.len() {
            let after_cr = at > self.line && bytes[at - 1] == b'\r';
            match bytes[at] {
                b'\n' if after_cr => {
                    self.searched = at + 1;
                    return Ok(Some(at + 1));
                }
                b'\n' | 0 => return Err(Ambiguous),
                _ if after_cr => return Err(Ambiguous),
                _ => {}
            }
        }
        self.searched = bytes.len();
        Ok(None)
    }

    fn chunk_line(&mut self, bytes: &[u8]) -> Step {
        match self.line_end(bytes) {
            Ok(Some(end)) => match chunk_size(&bytes[..end - 2]) {
                Some(0) => self.release(end, Place::Trailers),
                Some(size) => self.release(end, Place::Chunk(size)),
                None => Step::Refuse,
            },
            Ok(None) if bytes.len() > MAX_CHUNK_LINE => Step::Refuse,
            Ok(None) => Step::Wait,
            Err(Ambiguous) => Step::Refuse,
        }
    }
}

/// The bytes can be read in two ways.
struct Ambiguous;

/// Hex digits, then extensions, which are read by nobody.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let size = line.split(|byte| *byte == b';').next()?;
    let size = size.trim_ascii_end();
    let is_hex = (1..=15).contains(&size.len()) && size.iter().all(u8::is_ascii_hexdigit);
    is_hex.then(|| u64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()).flatten()
}

/// What follows a whole head; `None` when that depends on who reads it.
fn body_after(head: &[u8]) -> Option<Place> {
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let is_http_10 = lines.next()?.ends_with(b"HTTP/1.0");
    let (mut length, mut chunked) = (None, false);
    for line in lines.take_while(|line| !line.is_empty()) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            return None;
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            if length.replace(decimal(value)?).is_some() {
                return None;
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if chunked || is_http_10 || !value.eq_ignore_ascii_case(b"chunked") {
                return None;
            }
            chunked = true;
        }
    }
    match (chunked, length) {
        (true, Some(_)) => None,
        (true, None) => Some(Place::ChunkLine),
        (false, None | Some(0)) => Some(Place::Head),
        (false, Some(length)) => Some(Place::Body(length)),
    }
}

fn decimal(value: &[u8]) -> Option<u64> {
    let is_number = (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    is_number.then(|| std::str::from_utf8(value).ok()?.parse().ok()).flatten()
}

/// A character of a field name (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds in pieces of a size; gives what was released, and whether the rest was refused.
    fn follow(stream: &[u8], piece: usize) -> (usize, bool) {
        let (mut framing, mut released, mut arrived) = (Framing::new(), 0, 0);
        loop {
            match framing.step(&stream[released..arrived]) {
                Step::Release(count) => released += count,
                Step::Refuse => return (released, true),
                Step::Wait if arrived == stream.len() => return (released, false),
                Step::Wait => arrived = stream.len().min(arrived + piece),
            }
        }
    }

    fn passes(stream: &str) {
        for piece in [1, 2, 3, 7, stream.len()] {
            assert_eq!(follow(stream.as_bytes(), piece), (stream.len(), false), "{stream:?} by {piece}");
        }
    }

    /// The stream is refused exactly after its first part, however it arrives.
    fn refused_after(first: &str, rest: &str) {
        let stream = format!("{first}{rest}");
        for piece in [1, 2, 3, 7, stream.len()] {
            assert_eq!(follow(stream.as_bytes(), piece), (first.len(), true), "{stream:?} by {piece}");
        }
    }

    fn head(fields: &str) -> String {
        format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
    }

    #[test]
    fn requests_follow_each_other() {
        passes(&head(""));
        passes(&(head("Content-Length: 5\r\n") + "hello" + &head("") + "\r\n" + &head("")));
        passes(
            &(head("Transfer-Encoding: Chunked\r\n")
                + "5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n"
                + &head("")),
        );
        passes(&(head("Transfer-Encoding: chunked\r\n") + "0\r\nX-T: 1\r\n\r\n" + &head("")));
        passes("GET / HTTP/1.0\r\n\r\n");
    }

    #[test]
    fn a_length_is_one_plain_number() {
        for bad in [
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\ncontent-length: 6\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: -5\r\n",
            "Content-Length: 5 5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length:\r\n",
            "Content-Length: 9999999999999999999\r\n",
        ] {
            refused_after("", &head(bad));
        }
    }

    #[test]
    fn a_transfer_encoding_is_chunked_and_nothing_else() {
        for bad in [
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding:\u{b}chunked\r\n",
            "Transfer-Encoding : chunked\r\n",
            " Transfer-Encoding: chunked\r\n",
            "X: y\r\n Transfer-Encoding: chunked\r\n",
            "X: y\rTransfer-Encoding: chunked\r\n",
            "X: y\nTransfer-Encoding: chunked\r\n",
            "Transfer\u{0}Encoding: chunked\r\n",
            ": x\r\n",
            "no colon\r\n",
        ] {
            refused_after("", &head(bad));
        }
        refused_after("", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
    }

    #[test]
    fn chunks_are_exact() {
        let chunked = head("Transfer-Encoding: chunked\r\n");
        for bad in ["\r\n", "x\r\n", "+5\r\n", "0x5\r\n", "5\n", "-1\r\n", "10000000000000000\r\n", " 5\r\n"]
        {
            refused_after(&chunked, bad);
        }
        refused_after(&(chunked.clone() + "5\r\nhello"), "xx");
        refused_after(&(chunked.clone() + "0\r\n"), "X: y\n\r\n");
        refused_after(&chunked, &("5;".to_owned() + &"x".repeat(300)));
    }

    #[test]
    fn the_second_request_is_judged_as_the_first() {
        let first = head("Content-Length: 2\r\n") + "ok";
        refused_after(&first, &head("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"));
    }

    #[test]
    fn an_oversized_head_is_left_to_hyper() {
        let stream = "GET / HTTP/1.1\r\nX: ".to_owned() + &"x".repeat(MAX_HEAD);
        assert_eq!(follow(stream.as_bytes(), 1000), (stream.len(), false));
    }
}
