//! One change of a container at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use model::ContainerId;

/// A lock for every container that is being changed.
#[derive(Default)]
pub(super) struct Locks(Mutex<HashMap<ContainerId, Weak<tokio::sync::Mutex<()>>>>);

impl Locks {
    /// Waits until no other change of this container is under way.
    pub async fn lock(&self, id: &ContainerId) -> tokio::sync::OwnedMutexGuard<()> {
        self.of(id).lock_owned().await
    }

    fn of(&self, id: &ContainerId) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = locks.get(id).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::default();
        locks.insert(id.clone(), Arc::downgrade(&lock));
        lock
    }
}
