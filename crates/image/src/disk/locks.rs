//! One download of a layer at a time, however many pulls want it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use model::image::DiffId;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// A lock for each layer that somebody works on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Locks {
    known: Arc<Mutex<HashMap<DiffId, Weak<AsyncMutex<()>>>>>,
}

impl Locks {
    /// Waits until nobody else works on the layer.
    pub async fn lock(&self, diff_id: &DiffId) -> OwnedMutexGuard<()> {
        self.of(diff_id).lock_owned().await
    }

    /// The lock if nobody holds it.
    pub fn try_lock(&self, diff_id: &DiffId) -> Option<OwnedMutexGuard<()>> {
        self.of(diff_id).try_lock_owned().ok()
    }

    fn of(&self, diff_id: &DiffId) -> Arc<AsyncMutex<()>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = known.get(diff_id).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::new(AsyncMutex::new(()));
        known.insert(diff_id.clone(), Arc::downgrade(&lock));
        lock
    }
}
