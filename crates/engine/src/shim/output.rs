//! The container's two outputs, on their way into its log.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use model::Timestamp;
use model::log::Stream;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::logfile::{Lines, LogWriter};

const READ_SIZE: usize = 16 << 10;
/// How long the last output may take after the end of the container.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// Standard output and standard error; one that has ended is gone.
pub(super) struct Outputs {
    streams: [Option<Output>; 2],
    log: LogWriter,
}

struct Output {
    stream: Stream,
    pipe: File,
    lines: Lines,
}

impl Outputs {
    /// The pipes must not block.
    pub fn new([stdout, stderr]: [OwnedFd; 2], log: LogWriter) -> Self {
        let output =
            |stream, pipe: OwnedFd| Some(Output { stream, pipe: pipe.into(), lines: Lines::default() });
        Self { streams: [output(Stream::Stdout, stdout), output(Stream::Stderr, stderr)], log }
    }

    /// What to wait for, with the number to pump when it is readable.
    pub fn pipes(&self) -> impl Iterator<Item = (usize, BorrowedFd<'_>)> {
        self.streams
            .iter()
            .enumerate()
            .filter_map(|(index, output)| Some((index, output.as_ref()?.pipe.as_fd())))
    }

    /// Reads once; a stream that has ended is closed.
    pub fn pump(&mut self, index: usize) {
        let Some(output) = &mut self.streams[index] else { return };
        let mut buffer = [0; READ_SIZE];
        let now = Timestamp::now();
        let (stream, log) = (output.stream, &mut self.log);
        match output.pipe.read(&mut buffer) {
            Ok(0) => {
                output.lines.finish(|line| log.line(now, stream, line));
                self.streams[index] = None;
            }
            Ok(length) => output.lines.feed(&buffer[..length], |line| log.line(now, stream, line)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.streams[index] = None,
        }
    }

    /// Hands everything read so far to the file.
    pub fn flush(&mut self) {
        self.log.flush();
    }

    /// Reads what is left after the end of the container.
    pub fn finish(&mut self) {
        let deadline = Instant::now() + LAST_OUTPUT;
        while self.pipes().next().is_some() && Instant::now() < deadline {
            let mut fds: Vec<_> =
                self.pipes().map(|(_, pipe)| PollFd::new(pipe, PollFlags::POLLIN)).collect();
            let _ = poll(&mut fds, PollTimeout::from(50u16));
            (0..self.streams.len()).for_each(|index| self.pump(index));
        }
        self.log.flush();
    }
}
