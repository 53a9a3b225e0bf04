//! How many layers are worked on at once: by all pulls together, and for one company.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::disk::Owner;

/// Layers worked on at once by all pulls together: each has a process of its own, with up to 128 MiB.
const MAX_AT_ONCE: usize = 8;
/// Of those for one company, so that a slow registry of one leaves room for the others.
const MAX_OF_ONE: usize = 4;

/// The slots of a store.
#[derive(Debug)]
pub(crate) struct Slots {
    all: Arc<Semaphore>,
    owners: Mutex<HashMap<Owner, Weak<Semaphore>>>,
}

/// One layer's slot. Dropped, it is free again.
#[derive(Debug)]
pub(crate) struct Slot {
    /// It also keeps the owner's slots known.
    _own: OwnedSemaphorePermit,
    _shared: OwnedSemaphorePermit,
}

impl Default for Slots {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(MAX_AT_ONCE)), owners: Mutex::default() }
    }
}

impl Slots {
    /// Waits for a slot: first among the owner's own, so that who waits for those keeps nobody else waiting. `None`
    /// never comes, for no semaphore is closed.
    pub async fn acquire(&self, owner: Owner) -> Option<Slot> {
        let own = self.of(owner).acquire_owned().await.ok()?;
        let shared = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Slot { _own: own, _shared: shared })
    }

    fn of(&self, owner: Owner) -> Arc<Semaphore> {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.retain(|_, semaphore| semaphore.strong_count() > 0);
        if let Some(semaphore) = owners.get(&owner).and_then(Weak::upgrade) {
            return semaphore;
        }
        let semaphore = Arc::new(Semaphore::new(MAX_OF_ONE));
        owners.insert(owner, Arc::downgrade(&semaphore));
        semaphore
    }
}
