//! Short-lived programs that the supervisor runs: they never outlive it, and each has a deadline.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, getppid};
use rustix::process::{PidfdFlags, pidfd_open};

/// A running program.
pub(super) struct Helper {
    child: Child,
    end: OwnedFd,
}

impl Helper {
    /// Starts a program that the kernel kills when this process ends: whoever cleans up after us must not meet it.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        begin_anew(command);
        let mut child = command.spawn()?;
        let opened = rustix::process::Pid::from_raw(child.id() as i32)
            .ok_or(io::ErrorKind::InvalidData.into())
            .and_then(|pid| Ok(pidfd_open(pid, PidfdFlags::empty())?));
        match opened {
            Ok(end) => Ok(Self { child, end }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Readable once the program has ended.
    pub fn end(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }

    /// How it ended; `None` when it runs.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits for its end. One that takes longer than `limit` is killed.
    pub fn finish(mut self, limit: Duration) -> io::Result<ExitStatus> {
        if wait_readable(self.end(), limit) {
            return self.child.wait();
        }
        self.kill();
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("it did not end within {} s", limit.as_secs())))
    }

    /// Kills it. One that hangs in the kernel is left to it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        wait_readable(self.end(), KILLED);
        let _ = self.child.try_wait();
    }
}

/// How long a killed process may take to end.
const KILLED: Duration = Duration::from_secs(1);

/// Says whether the descriptor became readable in time.
pub(super) fn wait_readable(fd: BorrowedFd<'_>, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let patience = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], patience) {
            Ok(0) if left.is_zero() => return false,
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return true,
            Err(_) => return false,
        }
    }
}

/// Gives a signal its first meaning again.
#[expect(unsafe_code, reason = "the safe interfaces do not know every signal")]
pub(super) fn restore_signal(signal: i32) {
    // SAFETY: no handler of ours is lost, as there is none; what the kernel or the library reserves is refused.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// What a container must not inherit, and what the new process alone can ask for: signals that we block, or that
/// whoever started the platform ignores (as `nohup` does), and to be killed with its parent.
#[expect(unsafe_code, reason = "only the new process itself can do this, and the safe interfaces lack it")]
fn begin_anew(command: &mut Command) {
    let us = nix::unistd::getpid();
    let begin = move || {
        (1..=libc::SIGRTMAX()).for_each(restore_signal);
        SigSet::empty().thread_set_mask()?;
        set_pdeathsig(Signal::SIGKILL)?;
        // We may have gone before it asked.
        if getppid() == us { Ok(()) } else { Err(Errno::ESRCH.into()) }
    };
    // SAFETY: this role has one thread, and what is done between fork and exec are system calls.
    unsafe { command.pre_exec(begin) };
}
