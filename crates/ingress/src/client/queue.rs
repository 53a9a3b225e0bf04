//! Where people wait while no ingress runs.

use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// An ingress is there again within moments. Whoever waits for one that cannot be started is better told so.
const PATIENCE: Duration = Duration::from_secs(30);

/// A copy of the public socket. As long as it is kept and nobody accepts there, people wait for the next ingress and
/// are not refused.
#[derive(Debug, Default)]
pub(super) struct Queue(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    public: Option<OwnedFd>,
    /// When the first of the starts failed that have failed since.
    failing_since: Option<Instant>,
}

impl Queue {
    /// A copy of what is kept.
    pub(super) fn public(&self) -> Option<OwnedFd> {
        self.state().public.as_ref().and_then(|public| public.try_clone().ok())
    }

    pub(super) fn keep(&self, public: OwnedFd) {
        self.state().public = Some(public);
    }

    /// Whoever waits is refused, unless an ingress accepts there.
    pub(super) fn close(&self) {
        self.state().public = None;
    }

    /// Takes down whether there is an ingress now, and closes when there has been none for too long.
    pub(super) fn note(&self, is_there: bool, now: Instant) {
        let mut state = self.state();
        if is_there {
            state.failing_since = None;
            return;
        }
        let since = *state.failing_since.get_or_insert(now);
        if now.duration_since(since) >= PATIENCE && state.public.take().is_some() {
            tracing::warn!("the ingress cannot be started; people are refused until it can");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn people_wait_for_half_a_minute_of_failures_and_not_longer() {
        let queue = Queue::default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        queue.keep(listener.into());
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        queue.note(false, began);
        queue.note(false, after(29));
        // It was there for a moment: the time begins anew.
        queue.note(true, after(29));
        queue.note(false, after(40));
        queue.note(false, after(69));
        TcpStream::connect(address).unwrap();
        assert!(queue.public().is_some());
        queue.note(false, after(70));
        assert!(queue.public().is_none());
    }
}
