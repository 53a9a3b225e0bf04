//! A container of which the kernel killed one process for want of memory is ended as a whole.
//!
//! On version 2 of control groups the kernel does that itself (`memory.oom.group`). Version 1 knows no such thing:
//! there a worker would vanish without a word and its parent go on, or hang, half alive. So the supervisor has the
//! kernel tell it, and does the rest.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};

use crate::cgroup::Cgroup;

/// The kernel tells just before it kills: how long the kill may take to be counted, and how often one looks.
const COUNTED_WITHIN: Duration = Duration::from_secs(2);
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Watches one container.
pub(super) struct OomWatch {
    group: Cgroup,
    bell: Option<OwnedFd>,
    look_until: Option<Instant>,
}

impl OomWatch {
    /// On version 2, or where the kernel refuses, it only counts.
    pub fn of(group: Cgroup) -> Self {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok();
        let bell = bell.filter(|bell| group.ring_when_out_of_memory(bell.as_fd()).is_ok_and(|has| has));
        Self { group, bell, look_until: None }
    }

    /// Readable when the limit was reached.
    pub fn bell(&self) -> Option<BorrowedFd<'_>> {
        Some(self.bell.as_ref()?.as_fd())
    }

    /// Takes note that the bell rang.
    pub fn rang(&mut self) {
        if let Some(bell) = &self.bell {
            let _ = rustix::io::read(bell, &mut [0; 8]);
        }
        self.look_until = Some(Instant::now() + COUNTED_WITHIN);
    }

    /// Whether to call [`OomWatch::has_killed`] again soon.
    pub fn is_looking(&self) -> bool {
        self.look_until.is_some()
    }

    /// Whether the kernel has killed since the bell rang. Says yes once.
    pub fn has_killed(&mut self) -> bool {
        let Some(until) = self.look_until else { return false };
        let has_killed = self.count() > 0;
        if has_killed || Instant::now() > until {
            self.look_until = None;
        }
        has_killed
    }

    /// How many processes of the container the kernel killed for want of memory.
    pub fn count(&self) -> u64 {
        self.group.oom_kills()
    }
}
