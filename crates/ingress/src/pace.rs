//! How fast a client is while somebody waits for it. Pure.

use std::time::{Duration, Instant};

/// Bytes a second below which a client holds an application for nothing.
const SLOWEST: u64 = 512;

/// What a client earned by speed counts for so many times the patience at most.
const CREDIT: u32 = 4;

/// Follows one body that a client sends or takes. Only the time in which everybody waits for the client counts.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    waits_since: Option<Instant>,
    waited: Duration,
    bytes: u64,
}

impl Pace {
    /// From now on the client is waited for.
    pub(crate) fn waits(&mut self, now: Instant) {
        self.waits_since.get_or_insert(now);
    }

    /// The client sent or took so much.
    pub(crate) fn moved(&mut self, now: Instant, bytes: usize) {
        if let Some(since) = self.waits_since.take() {
            self.waited += now.saturating_duration_since(since);
        }
        self.bytes += bytes as u64;
    }

    /// When the client has been too slow; `None` while nobody waits for it.
    pub(crate) fn ends(&self, patience: Duration) -> Option<Instant> {
        let earned = patience + Duration::from_millis(self.bytes.saturating_mul(1000) / SLOWEST);
        let left = earned.saturating_sub(self.waited).min(patience * (1 + CREDIT));
        Some(self.waits_since? + left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A client that moves so many bytes after each pause; gives the time after which it is too slow.
    fn lasts(bytes: usize, pause: Duration) -> Option<Duration> {
        let began = Instant::now();
        let (mut pace, mut now) = (Pace::default(), began);
        for _ in 0..100_000 {
            pace.waits(now);
            let ends = pace.ends(PATIENCE).unwrap();
            if ends <= now + pause {
                return Some(ends - began);
            }
            now += pause;
            pace.moved(now, bytes);
        }
        None
    }

    #[test]
    fn a_client_that_stops_or_trickles_is_too_slow_and_one_that_moves_is_not() {
        let second = Duration::from_secs(1);
        assert_eq!(lasts(0, 3600 * second), Some(PATIENCE));
        let trickle = lasts(1, second).unwrap();
        assert!((PATIENCE..PATIENCE + 5 * second).contains(&trickle), "{trickle:?}");
        assert!(lasts(256, second).unwrap() < 3 * PATIENCE);
        assert_eq!(lasts(512, second), None);
        assert_eq!(lasts(64 << 10, 50 * second), None);
    }

    #[test]
    fn what_was_fast_does_not_buy_hours() {
        let began = Instant::now();
        let mut pace = Pace::default();
        pace.moved(began, 1 << 40);
        assert_eq!(pace.ends(PATIENCE), None, "nobody waits");
        pace.waits(began);
        assert_eq!(pace.ends(PATIENCE), Some(began + 5 * PATIENCE));
    }
}
