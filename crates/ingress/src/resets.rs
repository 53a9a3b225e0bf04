//! A client of HTTP/2 that begins requests only to give them up makes an application work for nothing (CVE-2023-44487,
//! and CVE-2025-8671, where it makes us give them up). hyper refuses the crudest form; what is left is counted here.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// So many requests given up are nothing unusual.
const SOME: u32 = 300;

/// One given up later than this has cost its client some patience, too.
const EARLY: Duration = Duration::from_secs(1);

/// The requests of one connection.
#[derive(Default)]
pub(crate) struct Resets {
    count: Mutex<Count>,
    too_many: Notify,
}

#[derive(Default)]
struct Count {
    begun: u32,
    given_up: u32,
}

/// One of them until its answer begins.
pub(crate) struct Begun {
    resets: Arc<Resets>,
    at: Instant,
    is_answered: bool,
}

impl Resets {
    pub(crate) fn begin(self: &Arc<Self>) -> Begun {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        count.begun = count.begun.saturating_add(1);
        Begun { resets: self.clone(), at: Instant::now(), is_answered: false }
    }

    /// Returns when the connection has to end.
    pub(crate) async fn too_many(&self) {
        self.too_many.notified().await;
    }
}

impl Begun {
    pub(crate) fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if self.is_answered || self.at.elapsed() > EARLY {
            return;
        }
        let mut count = self.resets.count.lock().unwrap_or_else(PoisonError::into_inner);
        count.given_up += 1;
        if is_abuse(&count) {
            self.resets.too_many.notify_one();
        }
    }
}

/// Whether most requests of a connection came to nothing.
fn is_abuse(count: &Count) -> bool {
    count.given_up > SOME && count.given_up > count.begun / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_requests_may_be_given_up_and_many_among_more() {
        let is_abuse = |given_up, begun| is_abuse(&Count { begun, given_up });
        assert!(!is_abuse(SOME, SOME));
        assert!(is_abuse(SOME + 1, SOME + 1));
        assert!(!is_abuse(10 * SOME, 30 * SOME));
        assert!(is_abuse(10 * SOME, 15 * SOME));
    }
}
