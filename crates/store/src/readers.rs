//! Read-only connections, on blocking threads. Each query sees one moment of the database.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::Semaphore;

use crate::{Result, StoreError, open};

const READERS: usize = 4;

#[derive(Clone)]
pub struct Readers {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub fn new(path: PathBuf) -> Self {
        let permits = Arc::new(Semaphore::new(READERS));
        Self { shared: Arc::new(Shared { path, idle: Mutex::default(), permits }) }
    }

    /// Runs a query on a free connection.
    pub async fn run<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit =
            Arc::clone(&self.shared.permits).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let shared = Arc::clone(&self.shared);
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let mut connection = shared.take()?;
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
            let result = query(&transaction);
            drop(transaction);
            shared.put_back(connection);
            result
        });
        match task.await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(StoreError::Closed),
        }
    }
}

impl Shared {
    fn take(&self) -> Result<Connection> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| open::reader(&self.path), Ok)
    }

    fn put_back(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}
