//! Copies of the database from before its schema changed, to go back with the earlier version of Darsena.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::{Result, file};

/// Copies the whole database to `darsena.db.before-VERSION`, the schema version it is about to get. There as a
/// whole or not at all; one from an earlier attempt is replaced.
pub fn before_migration(connection: &Connection, database: &Path, version: u32) -> Result<()> {
    let copy = copy_of(database, version);
    let unfinished = beside(&copy, "-new");
    let as_text = unfinished.to_str().ok_or_else(|| {
        let problem = io::Error::new(io::ErrorKind::InvalidInput, "its path is not UTF-8");
        file::failed("copying the database to", &unfinished)(problem)
    })?;
    // SQLite writes into an empty file only, and takes its mode.
    file::remove(&unfinished)?;
    file::make_private(&unfinished)?;
    let copied = connection.execute("VACUUM INTO ?1", [as_text]);
    if copied.is_err() {
        // Half a copy on a full disk is of no use and in the way.
        file::remove(&unfinished)?;
    }
    copied?;
    file::sync(&unfinished)?;
    file::put_in_place(&unfinished, &copy)?;
    tracing::info!(copy = %copy.display(), "the database was copied before its schema changes");
    Ok(())
}

/// Removes the copies that earlier upgrades made, once there is a newer one.
pub fn remove_older(database: &Path, version: u32) -> Result<()> {
    (1..version).try_for_each(|older| file::remove(&copy_of(database, older)))
}

/// The newest copy that a version of Darsena can open which knows schemas up to `known`, of a database that has the
/// schema version `found`.
pub fn for_version(database: &Path, found: u32, known: u32) -> Option<PathBuf> {
    let mut copies = (1..=found).rev().map(|version| copy_of(database, version));
    copies.find(|copy| schema_version(copy).is_ok_and(|version| (1..=known).contains(&version)))
}

/// The version in the header of a database, bytes 60 to 63 of its file. Opening a copy would write beside it.
fn schema_version(database: &Path) -> io::Result<u32> {
    let mut header = [0; 64];
    File::open(database)?.read_exact(&mut header)?;
    Ok(u32::from_be_bytes([header[60], header[61], header[62], header[63]]))
}

fn copy_of(database: &Path, version: u32) -> PathBuf {
    beside(database, &format!(".before-{version}"))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
