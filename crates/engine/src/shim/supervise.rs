//! The supervisor's life after the container is made: one loop that waits for output, questions, the end of
//! the container or of a command beside it, and deadlines.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use model::Timestamp;
use nix::fcntl::Flock;
use nix::poll::PollTimeout;
use nix::sys::signal::{Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;

use super::children::{self, Ended};
use super::client::Client;
use super::exec_slot::ExecSlot;
use super::memory;
use super::oom::{self, OomWatch};
use super::output::Outputs;
use super::protocol::{Answer, Ask, LONGEST_MS, Orders, Trouble};
use super::remove_traces;
use super::runtime::Runtime;
use super::waiting::{Ready, Watched, What};
use crate::Exit;
use crate::cgroup::Cgroup;
use crate::folders::{DataFolder, RunFolder, write_whole};
use crate::logfile::LogWriter;

/// Few ask at once. It is less than the number of files that a process may have open.
const CLIENTS_MAX: usize = 256;

pub(super) struct Supervisor {
    run: RunFolder,
    orders: Orders,
    lock: Flock<File>,
    listener: UnixListener,
    clients: Vec<Client>,
    next_client: u64,
    init: Pid,
    child_ends: SignalFd,
    /// Children have ended, and not all are collected.
    must_reap: bool,
    is_started: bool,
    is_settled: bool,
    stop: Option<Stop>,
    outputs: Outputs,
    exec: ExecSlot,
    oom: OomWatch,
}

/// A container whose command waits to be started.
pub(super) struct Made {
    pub init: Pid,
    pub child_ends: SignalFd,
    pub outputs: [OwnedFd; 2],
    pub oom: OomWatch,
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
        made: Made,
    ) -> Self {
        let Made { init, child_ends, outputs, oom } = made;
        let outputs = Outputs::new(outputs, LogWriter::open(&DataFolder::new(&orders.data).logs()));
        Self {
            run,
            orders,
            lock,
            listener,
            clients: Vec::new(),
            next_client: 0,
            init,
            child_ends,
            must_reap: false,
            is_started: false,
            is_settled: false,
            stop: None,
            outputs,
            exec: ExecSlot::new(init),
            oom,
        }
    }

    /// Supervises until the container has ended and its traces are gone.
    pub fn run(mut self) {
        let code = loop {
            if self.is_started && !self.is_settled {
                self.settle();
            }
            let ready = self.wait_for_something();
            self.take_note_of_ended_children(ready.child);
            ready.outputs.iter().for_each(|index| self.outputs.pump(*index));
            self.outputs.flush();
            self.go_on_with_exec(ready.exec_output, ready.exec_end);
            if self.must_reap
                && let Some(status) = self.reap()
            {
                break status;
            }
            self.end_when_out_of_memory(ready.oom);
            self.kill_when_due();
            if ready.listener {
                self.accept();
            }
            self.serve_clients(&ready.clients);
        };
        self.end(code);
    }

    fn wait_for_something(&self) -> Ready {
        let mut watched = Watched::default();
        watched.add(What::Child, self.child_ends.as_fd());
        watched.add(What::Listener, self.listener.as_fd());
        self.outputs.pipes().for_each(|(index, pipe)| watched.add(What::Output(index), pipe));
        if let Some(exec) = self.exec.current() {
            watched.add(What::ExecEnd, exec.end());
            exec.output().into_iter().for_each(|pipe| watched.add(What::ExecOutput, pipe));
        }
        self.oom.bell().into_iter().for_each(|bell| watched.add(What::Oom, bell));
        for (index, client) in self.clients.iter().enumerate() {
            watched.add(What::Client(index), client.stream.as_fd());
        }
        watched.wait(self.patience())
    }

    /// Until the next deadline.
    fn patience(&self) -> PollTimeout {
        let stop = self.stop.as_ref().filter(|stop| !stop.is_killed).map(|stop| stop.kill_at);
        let exec = self.exec.current().map(|exec| exec.ends_at);
        if self.must_reap && self.exec.current().is_none() {
            return PollTimeout::ZERO;
        }
        let look = self.oom.is_looking().then(|| Instant::now() + oom::LOOK_EVERY);
        match [stop, exec, look].into_iter().flatten().min() {
            Some(next) => {
                let left = next.saturating_duration_since(Instant::now());
                PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
            }
            None => PollTimeout::NONE,
        }
    }

    fn take_note_of_ended_children(&mut self, is_told: bool) {
        self.must_reap |= is_told;
        // One signal may stand for many children.
        while is_told && matches!(self.child_ends.read_signal(), Ok(Some(_))) {}
    }

    /// Collects ended children; gives the exit code of the container's first process if it is among them. Children
    /// whose names we do not know are the runtime's, left to us when it was killed; the container's first process
    /// cannot end before they are collected, as they are in its process namespace.
    fn reap(&mut self) -> Option<i32> {
        while let Some(Ended { pid, code }) = children::any_ended() {
            if self.exec.knows(pid) {
                // It is collected where it is looked after, and the others after that.
                return None;
            }
            if !children::collect(pid) {
                break;
            }
            self.exec.forget(pid);
            if pid == self.init {
                return Some(code);
            }
        }
        self.must_reap = false;
        None
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.clients.len() < CLIENTS_MAX && stream.set_nonblocking(true).is_ok() {
                self.clients.push(Client::new(self.next_client, stream));
                self.next_client += 1;
            }
        }
    }

    /// `ready` holds rising indexes, so that removing one leaves the ones before it in place.
    fn serve_clients(&mut self, ready: &[usize]) {
        for index in ready.iter().rev().copied() {
            let keeps = match self.clients[index].read() {
                Some(asks) => asks.into_iter().all(|ask| self.answer(index, ask)),
                None => false,
            };
            if !keeps {
                let gone = self.clients.swap_remove(index);
                self.exec.kill_of(gone.id, &self.orders);
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
            Ask::Exec { args, limit_ms } => {
                let limit = Duration::from_millis(limit_ms.min(LONGEST_MS));
                match self.begin_exec(client, &args, limit) {
                    Ok(()) => return true,
                    Err(answer) => answer,
                }
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

    fn begin_exec(&mut self, client: usize, args: &[String], limit: Duration) -> Result<(), Answer> {
        if !self.is_started {
            let doing = "running a command in the container".to_owned();
            return Err(Answer::Failed(Trouble::Host { doing, why: "it has not been started".to_owned() }));
        }
        self.exec.begin(&self.run, &self.orders, self.clients[client].id, args, limit)
    }

    fn go_on_with_exec(&mut self, has_output: bool, has_ended: bool) {
        let Some((client, answer)) = self.exec.go_on(&self.run, &self.orders, has_output, has_ended) else {
            return;
        };
        if let Some(client) = self.clients.iter_mut().find(|c| c.id == client) {
            client.send(&answer);
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

    fn end_when_out_of_memory(&mut self, rang: bool) {
        if rang {
            self.oom.rang();
        }
        if self.oom.has_killed() {
            // It is our child and not yet waited for, so its number is its own.
            let _ = kill(self.init, Signal::SIGKILL);
        }
    }

    /// A later stop can only bring the end nearer. A container whose command has not begun is killed at once:
    /// the runtime's own process, which waits in its place, knows no stop signal.
    fn begin_stop(&mut self, grace_ms: u64) {
        let grace_ms = if self.is_started { grace_ms.min(LONGEST_MS) } else { 0 };
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
        self.exec.kill(&self.orders);
        self.outputs.finish();
        let exit = self.exit(code);
        if super::is_held(&self.run, &self.lock)
            && let Ok(text) = serde_json::to_vec(&exit)
        {
            let _ = write_whole(&self.run.exit(), &text);
        }
        for client in self.clients.iter_mut().filter(|client| client.waits_for_the_end) {
            client.send(&Answer::Ended { exit: exit.clone() });
        }
        remove_traces(&self.run, &self.orders, &self.lock);
    }

    fn exit(&self, code: i32) -> Exit {
        // Whichever process was killed: the whole container is ended for it, see [`oom`].
        let out_of_memory = self.oom.count() > 0;
        let was_late = self.stop.as_ref().filter(|stop| stop.is_killed && stop.grace_ms > 0 && code == 137);
        let detail = match was_late {
            _ if out_of_memory => Some(format!("killed: out of memory at {} MB", self.orders.memory_mb)),
            Some(stop) => {
                Some(format!("killed, because it had not ended {} ms after the stop signal", stop.grace_ms))
            }
            None => None,
        };
        Exit { code, out_of_memory, at: Timestamp::now(), detail }
    }
}

/// Some images choose a real-time signal (34 to 64), for which the safe interfaces have no name.
#[expect(unsafe_code, reason = "kill(2) reads no memory of ours")]
fn send_signal(process: Pid, signal: i32) {
    // SAFETY: the process is our child and not yet waited for, so the number cannot be another's.
    unsafe { libc::kill(process.as_raw(), signal) };
}
