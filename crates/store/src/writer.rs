//! The one thread that changes the database. Changes happen one after another, each in a transaction of its own;
//! a caller that goes away leaves its change whole.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread::JoinHandle;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use crate::reserve::Reserve;
use crate::{Result, StoreError};

type Job = Box<dyn FnOnce(&mut Connection, &mut Reserve) + Send>;

pub struct Writer {
    /// `None` only while the thread is being ended.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Hands the connection to a thread of its own.
    pub fn start(connection: Connection, reserve: Reserve) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || work(connection, reserve, &queue))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs a change in a transaction: all of it or, when it fails, nothing.
    pub async fn run<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.hand_over(|connection, reserve| reserve.spare(|| in_transaction(connection, change))).await
    }

    /// The same, on the reserve of the disk when there is no other room.
    pub async fn run_on_reserve<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.hand_over(|connection, reserve| {
            reserve.lend(connection, |connection| in_transaction(connection, change))
        })
        .await
    }

    async fn hand_over<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection, &mut Reserve) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection, reserve| {
            // Nobody may be waiting any more; the change counts nevertheless.
            let _ = reply.send(work(connection, reserve));
        });
        self.jobs.as_ref().and_then(|jobs| jobs.send(job).ok()).ok_or(StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }
}

impl Drop for Writer {
    /// Waits for the changes that were handed over, so that a next opening finds them.
    fn drop(&mut self) {
        self.jobs = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the database's writer ended badly");
        }
    }
}

/// Takes the write lock at once: a transaction that reads first and then cannot write would have to be repeated.
pub fn in_transaction<T>(
    connection: &mut Connection,
    change: impl FnOnce(&Transaction<'_>) -> Result<T>,
) -> Result<T> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let value = change(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

fn work(mut connection: Connection, mut reserve: Reserve, queue: &mpsc::Receiver<Job>) {
    for job in queue {
        // A transaction rolls back when a panic passes through it, so the connection stays good.
        if catch_unwind(AssertUnwindSafe(|| job(&mut connection, &mut reserve))).is_err() {
            tracing::error!("a change of the database panicked and was undone");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_that_panics_is_undone_and_the_next_one_works() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE a (x INTEGER) STRICT").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let writer = Writer::start(connection, Reserve::of(&folder.path().join("db"))).unwrap();
        let broken = writer.run(|db| -> Result<()> {
            db.execute("INSERT INTO a VALUES (1)", [])?;
            panic!("a fault in a change")
        });
        assert!(matches!(broken.await, Err(StoreError::Closed)));
        let rows =
            writer.run(|db| Ok(db.query_row("SELECT count(*) FROM a", [], |row| row.get::<_, i64>(0))?));
        assert_eq!(rows.await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_full_disk_is_said_and_changes_nothing() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE a (x BLOB) STRICT").unwrap();
        connection.pragma_update(None, "max_page_count", 4).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let writer = Writer::start(connection, Reserve::of(&folder.path().join("db"))).unwrap();
        let full = writer.run(|db| {
            db.execute("INSERT INTO a VALUES (zeroblob(10))", [])?;
            db.execute("INSERT INTO a VALUES (zeroblob(1000000))", [])?;
            Ok(())
        });
        assert!(matches!(full.await, Err(StoreError::DiskFull)));
        let rows =
            writer.run(|db| Ok(db.query_row("SELECT count(*) FROM a", [], |row| row.get::<_, i64>(0))?));
        assert_eq!(rows.await.unwrap(), 0);
    }
}
