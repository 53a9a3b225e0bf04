//! One at a time of each name.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Its holder's turn lasts until it is dropped.
pub(super) type Turn = OwnedMutexGuard<()>;

pub(super) struct Turns<K> {
    of: Mutex<HashMap<K, Arc<AsyncMutex<()>>>>,
}

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self { of: Mutex::default() }
    }
}

impl<K: Eq + Hash> Turns<K> {
    /// Waits for a turn.
    pub async fn take(&self, key: K) -> Turn {
        self.of(key).lock_owned().await
    }

    /// A turn that nobody has now.
    pub fn take_free(&self, key: K) -> Option<Turn> {
        self.of(key).try_lock_owned().ok()
    }

    fn of(&self, key: K) -> Arc<AsyncMutex<()>> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody holds or waits for are forgotten.
        of.retain(|_, turn| Arc::strong_count(turn) > 1);
        of.entry(key).or_default().clone()
    }
}
