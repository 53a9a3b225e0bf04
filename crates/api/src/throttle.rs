//! How many requests a key or an address may make: a token bucket each.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How fast a bucket fills and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    pub per_second: f64,
    pub burst: f64,
}

/// Buckets by key. The map is bounded: full buckets, which remember nothing, are dropped, and where that frees too
/// little all are. Whoever has that many addresses is not held up by a bucket for each, and nobody else may be.
pub struct Throttle<K> {
    rate: Rate,
    buckets: Mutex<HashMap<K, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    level: f64,
    at: Instant,
}

const MOST_BUCKETS: usize = 10_000;

impl<K: Eq + Hash> Throttle<K> {
    pub fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::new(HashMap::new()) }
    }

    /// Takes one request from the key's bucket, or says how long to wait for the next.
    pub fn take(&self, key: K, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().expect("no panic while the lock is held");
        if buckets.len() >= MOST_BUCKETS && !buckets.contains_key(&key) {
            self.make_room(&mut buckets, now);
        }
        let fresh = Bucket { level: self.rate.burst, at: now };
        let bucket = buckets.entry(key).or_insert(fresh);
        let level = self.level(*bucket, now);
        if level < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - level) / self.rate.per_second));
        }
        *bucket = Bucket { level: level - 1.0, at: now };
        Ok(())
    }

    /// Frees at least half of the room, so that looking through all buckets is rare.
    fn make_room(&self, buckets: &mut HashMap<K, Bucket>, now: Instant) {
        buckets.retain(|_, bucket| self.level(*bucket, now) < self.rate.burst);
        if buckets.len() > MOST_BUCKETS / 2 {
            buckets.clear();
        }
    }

    fn level(&self, bucket: Bucket, now: Instant) -> f64 {
        let gained = now.saturating_duration_since(bucket.at).as_secs_f64() * self.rate.per_second;
        (bucket.level + gained).min(self.rate.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_and_then_the_rate_holds() {
        let throttle = Throttle::new(Rate { per_second: 2.0, burst: 3.0 });
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(throttle.take("a", start), Ok(()));
        }
        assert_eq!(throttle.take("a", start), Err(Duration::from_millis(500)));
        assert_eq!(throttle.take("b", start), Ok(()), "each key has its own");
        let later = start + Duration::from_millis(500);
        assert_eq!(throttle.take("a", later), Ok(()));
        assert!(throttle.take("a", later).is_err());
    }

    #[test]
    fn the_table_is_bounded_and_a_newcomer_is_let_in() {
        let throttle = Throttle::new(Rate { per_second: 0.001, burst: 1.0 });
        let now = Instant::now();
        for key in 0..3 * MOST_BUCKETS {
            assert_eq!(throttle.take(key, now), Ok(()), "{key}");
            assert!(throttle.buckets.lock().unwrap().len() <= MOST_BUCKETS);
        }
    }
}
