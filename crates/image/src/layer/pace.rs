//! A registry that sends a byte now and then is as good as one that sends none.

use std::time::Duration;

use tokio::time::Instant;

/// Least bytes a second, over a whole window.
const LEAST: u64 = 1 << 10;

/// How fast a stream comes.
pub(super) struct Pace {
    window: Duration,
    since: Instant,
    bytes: u64,
}

impl Pace {
    pub fn new(window: Duration) -> Self {
        Self { window, since: Instant::now(), bytes: 0 }
    }

    /// Counts bytes that came. `false` when a window has passed with too few.
    pub fn keeps_up(&mut self, bytes: usize) -> bool {
        self.bytes += bytes as u64;
        let elapsed = self.since.elapsed();
        if elapsed < self.window {
            return true;
        }
        let is_enough = self.bytes >= LEAST * elapsed.as_secs().max(1);
        (self.since, self.bytes) = (Instant::now(), 0);
        is_enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_does_not_count() {
        let past = |bytes: u64| Pace {
            window: Duration::from_secs(60),
            since: Instant::now() - Duration::from_secs(60),
            bytes,
        };
        assert!(past(60 << 10).keeps_up(1));
        assert!(!past(100).keeps_up(1));
        assert!(Pace::new(Duration::from_secs(60)).keeps_up(1), "the window has just begun");
    }
}
