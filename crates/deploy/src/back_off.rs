//! How long a container that ended waits for its next start.

use std::time::Duration;

const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const SECOND_PAUSE: Duration = Duration::from_secs(1);
/// A container that ran this long starts again as if nothing had ever been.
const RUNS_WELL_AFTER: Duration = Duration::from_secs(600);

/// At once, then 1, 2, 4 ... 60 s, and from the start again after a good run. It never gives up.
pub struct BackOff {
    next: Duration,
}

impl BackOff {
    pub fn new() -> Self {
        Self { next: Duration::ZERO }
    }

    /// The pause before the next start of a container that ran so long.
    pub fn pause(&mut self, ran: Duration) -> Duration {
        if ran >= RUNS_WELL_AFTER {
            self.next = Duration::ZERO;
        }
        let pause = self.next;
        self.next = (pause * 2).clamp(SECOND_PAUSE, LONGEST_PAUSE);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_start_is_at_once_then_pauses_double_up_to_a_minute() {
        let mut back_off = BackOff::new();
        let pauses: Vec<_> = (0..9).map(|_| back_off.pause(Duration::ZERO).as_secs()).collect();
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(back_off.pause(RUNS_WELL_AFTER - Duration::from_secs(1)).as_secs(), 60);
        assert_eq!(back_off.pause(RUNS_WELL_AFTER), Duration::ZERO);
        assert_eq!(back_off.pause(Duration::ZERO), SECOND_PAUSE);
    }
}
