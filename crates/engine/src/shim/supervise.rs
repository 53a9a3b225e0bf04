//! The supervisor's life after the container is made: one loop that waits for output, questions, the end of
//! the container and the deadline of a stop.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use model::Timestamp;
use model::log::Stream;
use nix::fcntl::Flock;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, WaitOptions, pidfd_open};

use super::client::Client;
use super::memory;
use super::protocol::{Answer, Ask, Orders};
use super::remove_traces;
use super::runtime::Runtime;
use crate::cgroup::Cgroup;
use crate::error::Doing;
use crate::folders::{DataFolder, RunFolder, write_whole};
use crate::logfile::{Lines, LogWriter};
use crate::{EngineError, Exit};

/// Few ask at once.
const CLIENTS_MAX: usize = 64;
const READ_SIZE: usize = 16 << 10;
/// How long the last output may take after the end of the container.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

pub(super) struct Supervisor {
    run: RunFolder,
    orders: Orders,
    _lock: Flock<File>,
    listener: UnixListener,
    clients: Vec<Client>,
    init: Pid,
    init_fd: OwnedFd,
    is_started: bool,
    is_settled: bool,
    stop: Option<Stop>,
    outputs: [Option<Output>; 2],
    log: LogWriter,
}

struct Output {
    stream: Stream,
    pipe: File,
    lines: Lines,
}

struct Stop {
    kill_at: Instant,
    grace_ms: u64,
    is_killed: bool,
}

impl Supervisor {
    pub fn new(
        run: RunFolder,
        orders: Orders,
        lock: Flock<File>,
        listener: UnixListener,
        init: Pid,
        [stdout, stderr]: [OwnedFd; 2],
    ) -> Result<Self, EngineError> {
        let doing = || "watching the container".to_owned();
        let pid = rustix::process::Pid::from_raw(init.as_raw())
            .ok_or_else(|| EngineError::host(doing(), "it has no process id"))?;
        let init_fd = pidfd_open(pid, PidfdFlags::empty()).doing(doing)?;
        let output =
            |stream, pipe: OwnedFd| Some(Output { stream, pipe: pipe.into(), lines: Lines::default() });
        let outputs = [output(Stream::Stdout, stdout), output(Stream::Stderr, stderr)];
        let log = LogWriter::open(&DataFolder::new(&orders.data).logs());
        let clients = Vec::new();
        Ok(Self {
            run,
            orders,
            _lock: lock,
            listener,
            clients,
            init,
            init_fd,
            is_started: false,
            is_settled: false,
            stop: None,
            outputs,
            log,
        })
    }

    /// Supervises until the container has ended and its traces are gone.
    pub fn run(mut self) {
        let code = loop {
            if self.is_started && !self.is_settled {
                self.settle();
            }
            let ready = self.wait_for_something();
            for index in 0..self.outputs.len() {
                if ready.outputs[index] {
                    self.pump(index);
                }
            }
            self.log.flush();
            if ready.end
                && let Some(status) = self.reap()
            {
                break status;
            }
            self.kill_when_due();
            if ready.listener {
                self.accept();
            }
            self.serve_clients(&ready.clients);
        };
        self.end(code);
    }

    fn wait_for_something(&self) -> Ready {
        let mut fds = vec![
            PollFd::new(self.init_fd.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
        ];
        let outputs: Vec<_> =
            self.outputs.iter().enumerate().filter_map(|(i, o)| Some((i, o.as_ref()?))).collect();
        fds.extend(outputs.iter().map(|(_, output)| PollFd::new(output.pipe.as_fd(), PollFlags::POLLIN)));
        fds.extend(self.clients.iter().map(|client| PollFd::new(client.stream.as_fd(), PollFlags::POLLIN)));
        // An interrupted wait shows nothing as ready, which is harmless.
        let _ = poll(&mut fds, self.patience());

        let mut flags = fds.iter().map(|fd| fd.any().unwrap_or(false));
        let mut next = || flags.next().unwrap_or(false);
        let mut ready = Ready { end: next(), listener: next(), outputs: [false; 2], clients: Vec::new() };
        for (index, _) in &outputs {
            ready.outputs[*index] = next();
        }
        ready.clients = flags.collect();
        ready
    }

    fn patience(&self) -> PollTimeout {
        match &self.stop {
            Some(stop) if !stop.is_killed => {
                let left = stop.kill_at.saturating_duration_since(Instant::now());
                PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
            }
            _ => PollTimeout::NONE,
        }
    }

    /// Reads once; a stream that has ended is closed.
    fn pump(&mut self, index: usize) {
        let Some(output) = &mut self.outputs[index] else { return };
        let mut buffer = [0; READ_SIZE];
        let now = Timestamp::now();
        match output.pipe.read(&mut buffer) {
            Ok(0) => {
                output.lines.finish(|line| self.log.line(now, output.stream, line));
                self.outputs[index] = None;
            }
            Ok(length) => {
                output.lines.feed(&buffer[..length], |line| self.log.line(now, output.stream, line))
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.outputs[index] = None,
        }
    }

    /// Collects ended children; gives the exit code of the container's first process if it is among them.
    fn reap(&mut self) -> Option<i32> {
        let mut end = None;
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid.as_raw_nonzero().get() == self.init.as_raw() {
                let signal = || status.terminating_signal().map(|signal| 128 + signal);
                end = Some(status.exit_status().or_else(signal).unwrap_or(255));
            }
        }
        end
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.clients.len() < CLIENTS_MAX && stream.set_nonblocking(true).is_ok() {
                self.clients.push(Client::new(stream));
            }
        }
    }

    fn serve_clients(&mut self, ready: &[bool]) {
        for index in (0..ready.len()).rev().filter(|index| ready[*index]) {
            let keeps = match self.clients[index].read() {
                Some(asks) => asks.into_iter().all(|ask| self.answer(index, ask)),
                None => false,
            };
            if !keeps {
                self.clients.swap_remove(index);
            }
        }
    }

    /// Says whether the connection is kept.
    fn answer(&mut self, client: usize, ask: Ask) -> bool {
        let answer = match ask {
            Ask::State => Answer::State { is_started: self.is_started, pid: std::process::id() as i32 },
            Ask::Start => self.start(),
            Ask::Stop { grace_ms } => {
                self.begin_stop(grace_ms);
                self.clients[client].waits_for_the_end = true;
                return true;
            }
            Ask::Wait => {
                self.clients[client].waits_for_the_end = true;
                return true;
            }
        };
        self.clients[client].send(&answer)
    }

    fn start(&mut self) -> Answer {
        if self.is_started {
            return Answer::Started;
        }
        match (Runtime { run: &self.run, orders: &self.orders }).start() {
            Ok(()) => {
                self.is_started = true;
                Answer::Started
            }
            Err(error) => Answer::Failed(error.into()),
        }
    }

    /// What can wait until the start has been answered.
    fn settle(&mut self) {
        self.is_settled = true;
        if let Ok(group) = Cgroup::of(&self.orders.supervisors_cgroup) {
            group.enter_as_seen_by_the_service_manager();
        }
        memory::give_back_program_pages();
    }

    /// A later stop can only bring the end nearer. A container whose command has not begun is killed at once:
    /// the runtime's own process, which waits in its place, knows no stop signal.
    fn begin_stop(&mut self, grace_ms: u64) {
        let grace_ms = if self.is_started { grace_ms } else { 0 };
        let kill_at = Instant::now() + Duration::from_millis(grace_ms);
        if grace_ms > 0 {
            send_signal(self.init, self.orders.stop_signal);
        }
        match &mut self.stop {
            Some(stop) if stop.kill_at <= kill_at => {}
            _ => self.stop = Some(Stop { kill_at, grace_ms, is_killed: false }),
        }
        self.kill_when_due();
    }

    /// The end of the first process is the end of all: they share its process namespace.
    fn kill_when_due(&mut self) {
        if let Some(stop) = &mut self.stop
            && !stop.is_killed
            && stop.kill_at <= Instant::now()
        {
            stop.is_killed = true;
            // It is our child and not yet waited for, so its number is its own.
            let _ = kill(self.init, Signal::SIGKILL);
        }
    }

    fn end(mut self, code: i32) {
        let deadline = Instant::now() + LAST_OUTPUT;
        while self.outputs.iter().any(Option::is_some) && Instant::now() < deadline {
            let mut fds: Vec<_> = self
                .outputs
                .iter()
                .flatten()
                .map(|o| PollFd::new(o.pipe.as_fd(), PollFlags::POLLIN))
                .collect();
            let _ = poll(&mut fds, PollTimeout::from(50u16));
            (0..self.outputs.len()).for_each(|index| self.pump(index));
        }
        self.log.flush();

        let exit = self.exit(code);
        if let Ok(text) = serde_json::to_vec(&exit) {
            let _ = write_whole(&self.run.exit(), &text);
        }
        for client in self.clients.iter_mut().filter(|client| client.waits_for_the_end) {
            client.send(&Answer::Ended { exit: exit.clone() });
        }
        remove_traces(&self.run, &self.orders);
    }

    fn exit(&self, code: i32) -> Exit {
        // A worker may have been killed long ago while the whole went on: then this end is another matter.
        let out_of_memory =
            code != 0 && Cgroup::of(&self.orders.cgroup).is_ok_and(|cgroup| cgroup.oom_kills() > 0);
        let was_late = self.stop.as_ref().filter(|stop| stop.is_killed && stop.grace_ms > 0 && code == 137);
        let detail = was_late.map(|stop| {
            format!("killed, because it had not ended {} ms after the stop signal", stop.grace_ms)
        });
        Exit { code, out_of_memory, at: Timestamp::now(), detail }
    }
}

/// Some images choose a real-time signal (34 to 64), for which the safe interfaces have no name.
#[expect(unsafe_code, reason = "kill(2) reads no memory of ours")]
fn send_signal(process: Pid, signal: i32) {
    // SAFETY: the process is our child and not yet waited for, so the number cannot be another's.
    unsafe { libc::kill(process.as_raw(), signal) };
}

struct Ready {
    end: bool,
    listener: bool,
    outputs: [bool; 2],
    clients: Vec<bool>,
}
