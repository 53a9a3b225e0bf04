//! One connection of the engine to the supervisor.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use super::protocol::{Answer, Ask};

/// The longest question, in bytes: a command with its arguments (see `EXEC_MAX` of the engine), every byte of
/// which may be escaped.
const ASK_MAX: usize = 256 << 10;

pub(super) struct Client {
    /// No other connection has or had it.
    pub id: u64,
    pub stream: UnixStream,
    asked: Vec<u8>,
    pub waits_for_the_end: bool,
}

impl Client {
    pub fn new(id: u64, stream: UnixStream) -> Self {
        Self { id, stream, asked: Vec::new(), waits_for_the_end: false }
    }

    /// The questions that have come in whole; `None` when the connection is to be closed.
    pub fn read(&mut self) -> Option<Vec<Ask>> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => return None,
            Ok(length) => self.asked.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
        let mut asks = Vec::new();
        while let Some(end) = self.asked.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.asked.drain(..=end).collect();
            asks.push(serde_json::from_slice(&line).ok()?);
        }
        (self.asked.len() <= ASK_MAX).then_some(asks)
    }

    /// Says whether the answer went out whole; answers are far smaller than a socket's buffer.
    pub fn send(&mut self, answer: &Answer) -> bool {
        let Ok(mut text) = serde_json::to_vec(answer) else { return false };
        text.push(b'\n');
        self.stream.write_all(&text).is_ok()
    }
}
