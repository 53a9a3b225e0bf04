//! Room on the disk for changes that must be possible when nothing else fits: removing something, and writing down
//! how far a deployment is. It is a file of zeros, which goes while such a change is made and comes back after it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use crate::{Result, StoreError, file};

/// Enough for the log of removing an application with all it has.
const SIZE: u64 = 4 << 20;
/// A disk that has hardly any room is not made fuller.
const LEAST_FREE: u64 = 4 * SIZE;
/// How long moving the log into the file may wait for those who read.
const CHECKPOINT_WAIT: Duration = Duration::from_millis(200);

pub struct Reserve {
    path: PathBuf,
    /// The last change found no room.
    is_full: bool,
}

impl Reserve {
    /// The reserve of a database, `darsena.db.reserve` beside it. That there is none stops nothing.
    pub fn of(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push(".reserve");
        let reserve = Self { path: path.into(), is_full: false };
        reserve.fill_where_room_is();
        reserve
    }

    /// Makes an ordinary change, which never gets the reserve.
    pub fn spare<T>(&mut self, change: impl FnOnce() -> Result<T>) -> Result<T> {
        let result = change();
        match &result {
            Err(StoreError::DiskFull) => self.is_full = true,
            Ok(_) if self.is_full => {
                self.is_full = false;
                self.fill_where_room_is();
            }
            _ => {}
        }
        result
    }

    /// Makes a change that gets the reserve when there is no other room.
    pub fn lend<T>(
        &mut self,
        connection: &mut Connection,
        change: impl FnOnce(&mut Connection) -> Result<T>,
    ) -> Result<T> {
        if !self.is_full && self.free().is_none_or(|free| free >= SIZE) {
            return self.spare(|| change(connection));
        }
        if let Err(error) = file::remove(&self.path) {
            tracing::error!(%error, "the reserve of the database cannot be used");
        }
        let result = change(connection);
        // The log gives its room back, so that the reserve is as large as before.
        if let Err(error) = shorten_log(connection) {
            tracing::debug!(%error, "the log of the database stays as long as it is");
        }
        self.fill();
        result
    }

    fn fill_where_room_is(&self) {
        if self.free().is_some_and(|free| free >= LEAST_FREE) {
            self.fill();
        }
    }

    /// Writes zeros up to the size; on a full disk as many as fit, which is what was lent.
    fn fill(&self) {
        let fill = || -> io::Result<()> {
            let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
            let mut missing = SIZE.saturating_sub(file.metadata()?.len());
            let zeros = [0; 64 << 10];
            while missing > 0 {
                let count = missing.min(zeros.len() as u64);
                file.write_all(&zeros[..count as usize])?;
                missing -= count;
            }
            File::sync_data(&file)
        };
        match fill() {
            Err(error) if error.kind() != io::ErrorKind::StorageFull => {
                tracing::warn!(path = %self.path.display(), %error, "the reserve of the database cannot be made");
            }
            _ => {}
        }
    }

    /// Bytes that are free where the database is, as far as that can be told.
    fn free(&self) -> Option<u64> {
        let folder = self.path.parent()?;
        let disk = rustix::fs::statvfs(folder).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

/// Moves the log into the file and cuts it to nothing.
fn shorten_log(connection: &Connection) -> Result<()> {
    let usual: u32 = connection.pragma_query_value(None, "busy_timeout", |row| row.get(0))?;
    connection.busy_timeout(CHECKPOINT_WAIT)?;
    let shortened = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    connection.busy_timeout(Duration::from_millis(usual.into()))?;
    Ok(shortened?)
}
