//! Opening connections, and making a database.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::key::Key;
use crate::writer::in_transaction;
use crate::{Result, StoreError, file, key_check, migrate};

/// Time that another process, such as a backup, may hold the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const CACHED_STATEMENTS: usize = 64;

/// Opens the connection that writes, and makes an empty file when there is none.
pub fn writer(path: &Path) -> Result<Connection> {
    let connection = writable(path)?;
    prepare_to_write(&connection)?;
    Ok(connection)
}

/// Like [`writer`], and nobody else has the database open, a server least of all: [`StoreError::Busy`] otherwise.
pub fn only_writer(path: &Path) -> Result<Connection> {
    let connection = writable(path)?;
    connection.pragma_update(None, "locking_mode", "exclusive")?;
    prepare_to_write(&connection)?;
    // The lock is taken with the first write and kept from then on.
    connection.execute_batch("BEGIN EXCLUSIVE; COMMIT;")?;
    Ok(connection)
}

fn writable(path: &Path) -> Result<Connection> {
    file::make_private(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    configure(&connection)?;
    Ok(connection)
}

fn prepare_to_write(connection: &Connection) -> Result<()> {
    let journal: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if journal != "wal" {
        return Err(StoreError::Damaged(format!(
            "its journal is {journal}, a write-ahead log is not possible"
        )));
    }
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // What was deleted is overwritten, sealed or not.
    connection.pragma_update(None, "secure_delete", true)?;
    check_pages(connection)
}

/// Opens a connection that cannot write.
pub fn reader(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    configure(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn configure(connection: &Connection) -> Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection.pragma_update(None, "temp_store", "memory")?)
}

/// Looks at every page once, so that damage is named at the start and not met by a deployment.
fn check_pages(connection: &Connection) -> Result<()> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    match verdict.as_str() {
        "ok" => Ok(()),
        problem => Err(StoreError::Damaged(problem.to_owned())),
    }
}

/// Makes a whole database under another name and binds it to its key, then puts it in place: a database is
/// there as a whole or not at all, so an empty file is damage and no beginning.
pub fn make_database(path: &Path, key: &Key) -> Result<()> {
    let beside = path.with_extension("db-new");
    for left_over in ["db-new", "db-new-wal", "db-new-shm"] {
        file::remove(&path.with_extension(left_over))?;
    }
    let mut connection = writer(&beside)?;
    migrate::migrate(&mut connection)?;
    in_transaction(&mut connection, |db| key_check::bind(db, key))?;
    // Closing moves everything from the log into the file.
    connection.close().map_err(|(_, error)| error)?;
    file::put_in_place(&beside, path)
}
