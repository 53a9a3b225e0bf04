//! Waiting for many things at once.

use std::os::fd::BorrowedFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// What a descriptor stands for.
#[derive(Clone, Copy)]
pub(super) enum What {
    /// A child has ended.
    Child,
    /// Somebody connects.
    Listener,
    /// The output of this number.
    Output(usize),
    /// The command beside it, or the runtime that starts it, has ended.
    ExecEnd,
    ExecOutput,
    /// The limit of memory was reached.
    Oom,
    /// The client of this number asks or leaves.
    Client(usize),
}

/// What there is to do.
#[derive(Default)]
pub(super) struct Ready {
    pub child: bool,
    pub listener: bool,
    pub outputs: Vec<usize>,
    pub exec_end: bool,
    pub exec_output: bool,
    pub oom: bool,
    /// In rising order.
    pub clients: Vec<usize>,
}

/// What is waited for.
#[derive(Default)]
pub(super) struct Watched<'a> {
    whats: Vec<What>,
    fds: Vec<PollFd<'a>>,
}

impl<'a> Watched<'a> {
    /// Clients are added in rising order.
    pub fn add(&mut self, what: What, fd: BorrowedFd<'a>) {
        self.whats.push(what);
        self.fds.push(PollFd::new(fd, PollFlags::POLLIN));
    }

    /// An interrupted wait shows nothing as ready, which is harmless.
    pub fn wait(mut self, patience: PollTimeout) -> Ready {
        let _ = poll(&mut self.fds, patience);
        let mut ready = Ready::default();
        for (what, fd) in self.whats.iter().zip(&self.fds) {
            if !fd.any().unwrap_or(false) {
                continue;
            }
            match *what {
                What::Child => ready.child = true,
                What::Listener => ready.listener = true,
                What::Output(index) => ready.outputs.push(index),
                What::ExecEnd => ready.exec_end = true,
                What::ExecOutput => ready.exec_output = true,
                What::Oom => ready.oom = true,
                What::Client(index) => ready.clients.push(index),
            }
        }
        ready
    }
}
