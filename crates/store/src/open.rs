//! Opening connections and checking that database and key belong together.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::key::Key;
use crate::query::Query;
use crate::seal::{Place, Sealed, Vault};
use crate::writer::in_transaction;
use crate::{KeyProblem, Result, StoreError, file, migrate};

/// Time that another process, such as a backup, may hold the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const CACHED_STATEMENTS: usize = 64;
const KEY_CHECK: &str = "this is the key";
const KEY_PLACE: Place<'static> =
    Place { table: "installation", column: "value", row: "key_check", company: None };

/// Opens the connection that writes, and makes an empty file when there is none.
pub fn writer(path: &Path) -> Result<Connection> {
    file::make_private(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    configure(&connection)?;
    let journal: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if journal != "wal" {
        return Err(StoreError::Damaged(format!(
            "its journal is {journal}, a write-ahead log is not possible"
        )));
    }
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    check_pages(&connection)?;
    Ok(connection)
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

/// Makes a whole database under another name and gives it its key for life, then puts it in place: a database is
/// there as a whole or not at all, so an empty file is damage and no beginning.
pub fn make_database(path: &Path, key: &Key) -> Result<()> {
    let beside = path.with_extension("db-new");
    for left_over in ["db-new", "db-new-wal", "db-new-shm"] {
        file::remove(&path.with_extension(left_over))?;
    }
    let mut connection = writer(&beside)?;
    migrate::migrate(&mut connection)?;
    let check = Vault::new(key).seal(&KEY_PLACE, KEY_CHECK.as_bytes())?;
    in_transaction(&mut connection, |db| {
        db.change_one("INSERT INTO installation (name, value) VALUES ('key_check', ?1)", [check])?;
        db.change_one("INSERT INTO installation (name, value) VALUES ('key_id', ?1)", [key.id().into_bytes()])
    })?;
    // Closing moves everything from the log into the file.
    connection.close().map_err(|(_, error)| error)?;
    file::put_in_place(&beside, path)
}

/// Refuses a key that is not this database's.
pub fn check_key(connection: &Connection, key: &Key, key_path: &Path) -> Result<Vault> {
    let sql = "SELECT CAST(value AS TEXT) FROM installation WHERE name = 'key_id'";
    let expected: Option<String> = connection.maybe(sql, [], |row| Ok(row.get(0)?))?;
    let expected = expected.ok_or_else(|| StoreError::Damaged("the name of its key is gone".to_owned()))?;
    if key.id() != expected {
        let problem = KeyProblem::Wrong { found: key.id(), expected };
        return Err(StoreError::Key { path: key_path.to_owned(), problem });
    }
    let vault = Vault::new(key);
    let sql = "SELECT value FROM installation WHERE name = 'key_check'";
    let check: Sealed = connection.one(sql, [], |row| Ok(row.get(0)?))?;
    vault.open(&KEY_PLACE, &check)?;
    Ok(vault)
}
