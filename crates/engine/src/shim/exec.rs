//! A command that is run inside the container beside its own, such as a health probe.
//!
//! The runtime starts it and ends; the command is then a child of ours, because we are the nearest subreaper.
//! So its number stays its own until we have collected it, and it can be signalled safely.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use rustix::process::{PidfdFlags, Signal, WaitOptions, pidfd_open};

use super::children;
use super::helper::{Helper, wait_readable};
use super::protocol::{Answer, Orders, Trouble};
use super::runtime::Runtime;
use super::tail::Tail;
use crate::EngineError;
use crate::cgroup::Cgroup;
use crate::error::Doing;
use crate::folders::RunFolder;

const READ_SIZE: usize = 16 << 10;
/// How much is read after the end of the command: another process may go on writing for ever.
const LAST_READS: usize = 64;
/// How long a killed command may take to end.
const KILLED: Duration = Duration::from_secs(1);
/// How often one looks for descendants that were made a moment before their parent was stopped.
const ROUNDS: usize = 20;

/// A command under way.
pub(super) struct Exec {
    /// Who asked for it.
    pub client: u64,
    pub ends_at: Instant,
    stage: Stage,
    words: Words,
}

enum Stage {
    /// The runtime is at work.
    Starting(Helper),
    Running(Process),
}

/// A child of ours that is not yet collected.
pub(super) struct Process {
    pid: rustix::process::Pid,
    end: OwnedFd,
}

impl Exec {
    pub fn begin(
        run: &RunFolder,
        orders: &Orders,
        client: u64,
        args: &[String],
        limit: Duration,
    ) -> Result<Self, EngineError> {
        let doing = || "running a command in the container".to_owned();
        let ends_at = Instant::now() + limit;
        let (output, write_end) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).doing(doing)?;
        rustix::io::ioctl_fionbio(&output, true).doing(doing)?;
        let helper = Runtime { run, orders }.begin_exec(args, write_end)?;
        let words = Words { pipe: Some(output.into()), tail: Tail::default() };
        Ok(Self { client, ends_at, stage: Stage::Starting(helper), words })
    }

    /// Whether the runtime has yet to say which process the command is.
    pub fn is_starting(&self) -> bool {
        matches!(self.stage, Stage::Starting(_))
    }

    /// The child of ours that is at work.
    pub fn child(&self) -> Pid {
        match &self.stage {
            Stage::Starting(helper) => helper.pid(),
            Stage::Running(process) => process.pid(),
        }
    }

    /// Readable when [`Exec::advance`] has something to do.
    pub fn end(&self) -> BorrowedFd<'_> {
        match &self.stage {
            Stage::Starting(helper) => helper.end(),
            Stage::Running(process) => process.end.as_fd(),
        }
    }

    /// Readable when [`Exec::pump`] has something to do.
    pub fn output(&self) -> Option<BorrowedFd<'_>> {
        Some(self.words.pipe.as_ref()?.as_fd())
    }

    /// Reads once.
    pub fn pump(&mut self) {
        self.words.read();
    }

    /// Goes on after the runtime or the command has ended; gives the outcome when that is all.
    pub fn advance(&mut self, run: &RunFolder, orders: &Orders) -> Option<Answer> {
        match &mut self.stage {
            Stage::Starting(helper) => match helper.ended() {
                Ok(None) => None,
                Ok(Some(status)) if !status.success() => {
                    Some(Answer::Failed(Runtime { run, orders }.explain_exec(status).into()))
                }
                Ok(Some(_)) => match started(run) {
                    Ok(process) => {
                        self.stage = Stage::Running(process);
                        None
                    }
                    Err(error) => Some(failed(error)),
                },
                Err(error) => Some(failed(error)),
            },
            Stage::Running(process) => {
                let code = process.collect_with_group()?;
                Some(Answer::Executed { code, output_tail: self.words.last() })
            }
        }
    }

    /// Ends the command and what it started; gives its last words, and what cannot be ended.
    pub fn kill(mut self, orders: &Orders, init: Pid) -> (String, Option<Process>) {
        if let Stage::Starting(helper) = &mut self.stage {
            helper.kill();
        }
        if let Stage::Running(process) = self.stage {
            process.kill_family(orders);
            let is_gone =
                wait_readable(process.end.as_fd(), KILLED) && process.collect_with_group().is_some();
            return (self.words.last(), (!is_gone).then_some(process));
        }
        kill_strays(orders, init);
        (self.words.last(), None)
    }
}

/// Ends what a runtime that failed or was killed had begun: all that fell to us as its children. They are collected
/// when they have ended.
pub(super) fn kill_strays(orders: &Orders, init: Pid) {
    for pid in children::all().into_iter().filter(|pid| *pid != init) {
        let pid = rustix::process::Pid::from_raw(pid.as_raw());
        let end = pid.and_then(|pid| Some((pid, pidfd_open(pid, PidfdFlags::empty()).ok()?)));
        if let Some((pid, end)) = end {
            Process { pid, end }.kill_family(orders);
        }
    }
}

/// What the command writes.
struct Words {
    pipe: Option<File>,
    tail: Tail,
}

impl Words {
    /// Reads once; says whether there may be more.
    fn read(&mut self) -> bool {
        let Some(pipe) = &mut self.pipe else { return false };
        let mut buffer = [0; READ_SIZE];
        match pipe.read(&mut buffer) {
            Ok(0) => {
                self.pipe = None;
                false
            }
            Ok(length) => {
                self.tail.push(&buffer[..length]);
                true
            }
            Err(_) => false,
        }
    }

    /// Reads what is left and gives the end of it.
    fn last(&mut self) -> String {
        let _ = (0..LAST_READS).try_for_each(|_| self.read().then_some(()));
        self.tail.text()
    }
}

impl Process {
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.pid.as_raw_nonzero().get())
    }

    /// The exit code, once it has ended. What it left in its process group is killed first: as long as it is not
    /// collected, no other group can have its number.
    pub fn collect_with_group(&self) -> Option<i32> {
        if !wait_readable(self.end.as_fd(), Duration::ZERO) {
            return None;
        }
        let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
        match rustix::process::waitpid(Some(self.pid), WaitOptions::NOHANG) {
            Ok(Some((_, status))) => {
                let signal = || status.terminating_signal().map(|signal| 128 + signal);
                Some(status.exit_status().or_else(signal).unwrap_or(255))
            }
            // Somebody else collected it, which nobody does.
            Ok(None) | Err(_) => Some(255),
        }
    }

    /// Kills the command, its descendants and its session. What left both goes on until the container ends.
    ///
    /// All are stopped first: an orphan is no descendant any more, and what stands still does not fork.
    fn kill_family(&self, orders: &Orders) {
        let signal_leader = |signal| {
            let _ = rustix::process::pidfd_send_signal(&self.end, signal);
        };
        signal_leader(Signal::STOP);
        let mut family = Vec::new();
        if let Ok(group) = Cgroup::of(&orders.cgroup) {
            for _ in 0..ROUNDS {
                let found = group.family(self.pid.as_raw_nonzero().get()).unwrap_or_default();
                let new: Vec<_> = found.into_iter().filter(|pid| !family.contains(pid)).collect();
                if new.is_empty() {
                    break;
                }
                signal_all(&new, nix::sys::signal::Signal::SIGSTOP);
                family.extend(new);
            }
        }
        signal_all(&family, nix::sys::signal::Signal::SIGKILL);
        signal_leader(Signal::KILL);
    }
}

/// Best effort: one that has gone meanwhile is what was wanted.
fn signal_all(processes: &[Pid], signal: nix::sys::signal::Signal) {
    for process in processes {
        let _ = nix::sys::signal::kill(*process, signal);
    }
}

/// The process that the runtime started.
fn started(run: &RunFolder) -> std::io::Result<Process> {
    let text = fs::read_to_string(run.exec_pid())?;
    let pid = text.trim().parse().ok().and_then(rustix::process::Pid::from_raw);
    let pid = pid.ok_or_else(|| std::io::Error::other("the runtime named no process"))?;
    let end = pidfd_open(pid, PidfdFlags::empty())?;
    // Only a child of ours is what we take it for.
    rustix::process::waitid(
        rustix::process::WaitId::Pid(pid),
        rustix::process::WaitIdOptions::EXITED
            | rustix::process::WaitIdOptions::NOWAIT
            | rustix::process::WaitIdOptions::NOHANG,
    )?;
    Ok(Process { pid, end })
}

fn failed(error: impl ToString) -> Answer {
    let doing = "running a command in the container".to_owned();
    Answer::Failed(Trouble::Host { doing, why: error.to_string() })
}
