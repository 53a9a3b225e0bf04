//! How many requests a key may make: a token bucket each.

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

/// Buckets by key. The map is bounded: full buckets, which remember nothing, are dropped.
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
        if buckets.len() >= MOST_BUCKETS {
            buckets.retain(|_, bucket| self.level(*bucket, now) < self.rate.burst);
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
}
