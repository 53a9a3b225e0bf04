//! Failures of backends in the log, at most one line a second: how many there are is up to whoever sends
//! requests, and the disk is not theirs to fill.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(1);

/// Decides which failures are written.
#[derive(Default)]
pub(crate) struct Complaints {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: Option<Instant>,
    silent: u64,
}

impl Complaints {
    /// How many were passed over since the last line; `None` when this one is passed over too.
    pub(crate) fn admit(&self) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| last.elapsed() < EVERY) {
            state.silent += 1;
            return None;
        }
        state.last = Some(Instant::now());
        Some(std::mem::take(&mut state.silent))
    }
}
