//! A copy of the database before its schema changes, to go back with the earlier version of Darsena.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::{Result, file};

/// Copies the whole database to `darsena.db.before-VERSION`, the schema version it is about to get. There as a
/// whole or not at all; one from an earlier attempt is replaced.
pub fn before_migration(connection: &Connection, database: &Path, version: u32) -> Result<()> {
    let copy = beside(database, &format!(".before-{version}"));
    let unfinished = beside(&copy, "-new");
    let as_text = unfinished.to_str().ok_or_else(|| {
        let problem = io::Error::new(io::ErrorKind::InvalidInput, "its path is not UTF-8");
        file::failed("copying the database to", &unfinished)(problem)
    })?;
    // SQLite writes into an empty file only, and takes its mode.
    file::remove(&unfinished)?;
    file::make_private(&unfinished)?;
    connection.execute("VACUUM INTO ?1", [as_text])?;
    file::sync(&unfinished)?;
    file::put_in_place(&unfinished, &copy)?;
    tracing::info!(copy = %copy.display(), "the database was copied before its schema changes");
    Ok(())
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
