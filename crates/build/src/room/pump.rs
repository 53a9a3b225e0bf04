//! A program's output, line by line, while the first process of the room also buries whatever ends in it.

use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{ChildStderr, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::protocol::Trouble;

/// Most bytes of a line; the rest is left out.
const LONGEST: usize = 4 << 10;
/// How long the output may stay open after the program's end: others may hold it.
const LAST_WORDS: Duration = Duration::from_millis(500);
const READ_AT_ONCE: usize = 16 << 10;
/// What a pipe holds, in bytes (pipe(7), "Pipe capacity").
const PIPE_SIZE: usize = 64 << 10;

/// Takes a line, and whether it is of standard error.
pub(super) type Teller<'a> = dyn FnMut(String, bool) -> Result<(), Trouble> + 'a;

/// Runs a program to its end and gives its exit code, 128 + n for signal n.
pub(super) fn run(command: &mut Command, tell: &mut Teller<'_>) -> Result<i32, Trouble> {
    let doing = format!("running {}", command.get_program().to_string_lossy());
    let failed = |error: Errno| Trouble::machine(&doing)(error);
    let ends = SigSet::from(Signal::SIGCHLD);
    ends.thread_block().map_err(failed)?;
    let ends = SignalFd::with_flags(&ends, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(failed)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Trouble::machine(&doing))?;
    let program = Pid::from_raw(child.id().cast_signed());
    let (stdout, stderr) = child
        .stdout
        .take()
        .zip(child.stderr.take())
        .ok_or_else(|| Trouble::Machine("no pipes".to_owned()))?;
    // The announcement of a step comes on standard output, and before whatever the step says of its errors.
    let mut pipes = [Pipe::new(Source::Out(stdout), false)?, Pipe::new(Source::Err(stderr), true)?];
    let mut ended = None;
    while !(ended.is_some() && pipes.iter().all(|pipe| pipe.is_closed)) {
        let patience = match &ended {
            Some((_, at)) => LAST_WORDS.saturating_sub(Instant::now().duration_since(*at)),
            None => Duration::from_secs(1),
        };
        if patience.is_zero() {
            break;
        }
        wait(&pipes, ends.as_fd(), patience).map_err(failed)?;
        while ends.read_signal().map_err(failed)?.is_some() {}
        for pipe in &mut pipes {
            pipe.read(tell)?;
        }
        ended = ended.or(bury(program).map(|code| (code, Instant::now())));
    }
    for pipe in &mut pipes {
        pipe.finish(tell)?;
    }
    Ok(ended.map_or(1, |(code, _)| code))
}

fn wait(pipes: &[Pipe; 2], ends: BorrowedFd<'_>, patience: Duration) -> Result<(), Errno> {
    let open = pipes.iter().filter(|pipe| !pipe.is_closed).map(|pipe| pipe.source.fd());
    let mut wanted: Vec<_> = open.chain([ends]).map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    match poll(&mut wanted, PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX)) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Takes every process that has ended, and the exit code of the one that counts.
fn bury(program: Pid) -> Option<i32> {
    let mut code = None;
    loop {
        match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == program => code = Some(status),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == program => code = Some(128 + signal as i32),
            Ok(WaitStatus::StillAlive) | Err(_) => return code,
            Ok(_) => {}
        }
    }
}

enum Source {
    Out(ChildStdout),
    Err(ChildStderr),
}

impl Source {
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Source::Out(pipe) => pipe.as_fd(),
            Source::Err(pipe) => pipe.as_fd(),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Source::Out(pipe) => pipe.read(buffer),
            Source::Err(pipe) => pipe.read(buffer),
        }
    }
}

struct Pipe {
    source: Source,
    is_error: bool,
    is_closed: bool,
    /// The line that has no end yet.
    line: Vec<u8>,
}

impl Pipe {
    fn new(source: Source, is_error: bool) -> Result<Self, Trouble> {
        rustix::io::ioctl_fionbio(source.fd(), true)
            .map_err(Trouble::machine("reading a program's output"))?;
        Ok(Self { source, is_error, is_closed: false, line: Vec::new() })
    }

    /// Reads what was there, but not for ever: the other pipe wants to be read, too.
    fn read(&mut self, tell: &mut Teller<'_>) -> Result<(), Trouble> {
        let mut buffer = [0; READ_AT_ONCE];
        let mut left = PIPE_SIZE;
        while !self.is_closed && left > 0 {
            match self.source.read(&mut buffer) {
                Ok(0) => self.is_closed = true,
                Ok(count) => {
                    left = left.saturating_sub(count);
                    self.take(&buffer[..count], tell)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(_) => self.is_closed = true,
            }
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8], tell: &mut Teller<'_>) -> Result<(), Trouble> {
        for byte in bytes {
            match byte {
                b'\n' => self.finish(tell)?,
                _ if self.line.len() < LONGEST => self.line.push(*byte),
                _ => {}
            }
        }
        Ok(())
    }

    fn finish(&mut self, tell: &mut Teller<'_>) -> Result<(), Trouble> {
        if self.line.is_empty() {
            return Ok(());
        }
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        // Of a line that is written over itself, as progress bars do, the last version counts.
        let text = text.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default();
        tell(text.to_owned(), self.is_error)
    }
}
