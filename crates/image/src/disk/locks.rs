//! One at a time, however many want it: a download of a layer, or the way to a layer's place.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// A lock for each key that somebody works on.
#[derive(Debug)]
pub(crate) struct Locks<K> {
    known: Arc<Mutex<HashMap<K, Weak<AsyncMutex<()>>>>>,
}

impl<K> Default for Locks<K> {
    fn default() -> Self {
        Self { known: Arc::default() }
    }
}

impl<K> Clone for Locks<K> {
    fn clone(&self) -> Self {
        Self { known: Arc::clone(&self.known) }
    }
}

impl<K: Eq + Hash> Locks<K> {
    /// Waits until nobody else works on it.
    pub async fn lock(&self, key: K) -> OwnedMutexGuard<()> {
        self.of(key).lock_owned().await
    }

    /// The same for work that waits for the disk, off the runtime's threads.
    pub fn blocking_lock(&self, key: K) -> OwnedMutexGuard<()> {
        self.of(key).blocking_lock_owned()
    }

    /// The lock if nobody holds it.
    pub fn try_lock(&self, key: K) -> Option<OwnedMutexGuard<()>> {
        self.of(key).try_lock_owned().ok()
    }

    fn of(&self, key: K) -> Arc<AsyncMutex<()>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = known.get(&key).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::new(AsyncMutex::new(()));
        known.insert(key, Arc::downgrade(&lock));
        lock
    }
}
