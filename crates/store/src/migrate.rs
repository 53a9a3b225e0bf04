//! Brings the schema up to date. A migration is a file of `migrations/`, numbered from 1 without gaps. All that a
//! database has not seen run in one transaction together with its new number: a kill leaves the schema of before, for
//! which there is a copy and a version of Darsena, and none in between.

use rusqlite::Connection;

use crate::query::Query;
use crate::writer::in_transaction;
use crate::{Result, StoreError};

/// Every migration there is, oldest first. Once released, none is ever changed.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_first.sql"),
    include_str!("../migrations/0002_credentials.sql"),
    include_str!("../migrations/0003_instances.sql"),
    include_str!("../migrations/0004_repeated_requests.sql"),
    include_str!("../migrations/0005_git.sql"),
];

/// The version that a database has after all migrations.
pub const LATEST: u32 = MIGRATIONS.len() as u32;

/// Runs the migrations that this database has not seen; refuses a database of a later version.
pub fn migrate(connection: &mut Connection) -> Result<()> {
    apply(connection, MIGRATIONS)
}

fn apply(connection: &mut Connection, migrations: &[&str]) -> Result<()> {
    let found = known_version(connection, migrations.len() as u32)?;
    // A table that is made anew is dropped in between, and must not take along what refers to it.
    connection.pragma_update(None, "foreign_keys", false)?;
    let missing = &migrations[found as usize..];
    let migrated = in_transaction(connection, |transaction| {
        missing.iter().try_for_each(|sql| transaction.execute_batch(sql))?;
        check_references(transaction)?;
        Ok(transaction.pragma_update(None, "user_version", migrations.len() as u32)?)
    });
    connection.pragma_update(None, "foreign_keys", true)?;
    if !missing.is_empty() && migrated.is_ok() {
        tracing::info!(from = found, to = migrations.len(), "the schema of the database is up to date");
    }
    migrated
}

/// The schema version of a database that is there; a later one than this program knows is refused.
pub fn version(connection: &Connection) -> Result<u32> {
    match known_version(connection, LATEST)? {
        0 => Err(StoreError::Damaged("it is empty".to_owned())),
        version => Ok(version),
    }
}

fn known_version(connection: &Connection, known: u32) -> Result<u32> {
    let found = schema_version(connection)?;
    match found > known {
        true => Err(StoreError::Newer { found, known, copy: None }),
        false => Ok(found),
    }
}

/// What a migration left without the row it refers to.
fn check_references(connection: &Connection) -> Result<()> {
    let table: Option<String> =
        connection.maybe("SELECT \"table\" FROM pragma_foreign_key_check", [], |row| Ok(row.get(0)?))?;
    match table {
        Some(table) => Err(StoreError::Damaged(format!("a row of {table} refers to one that is not there"))),
        None => Ok(()),
    }
}

/// SQLite keeps the number in the file's header and rolls it back with the transaction.
fn schema_version(connection: &Connection) -> Result<u32> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "CREATE TABLE a (x INTEGER) STRICT; INSERT INTO a VALUES (1);";
    const SECOND: &str = "ALTER TABLE a ADD COLUMN y INTEGER;";
    const BROKEN: &str = "CREATE TABLE b (x INTEGER) STRICT; INSERT INTO nowhere VALUES (1);";

    fn tables(connection: &Connection) -> i64 {
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn each_migration_runs_once() {
        let mut connection = Connection::open_in_memory().unwrap();
        for migrations in [&[FIRST][..], &[FIRST], &[FIRST, SECOND], &[FIRST, SECOND]] {
            apply(&mut connection, migrations).unwrap();
            assert_eq!(schema_version(&connection).unwrap(), migrations.len() as u32);
        }
        let rows: i64 =
            connection.query_row("SELECT count(*) FROM a WHERE y IS NULL", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 1);
    }

    #[test]
    fn a_migration_that_fails_leaves_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        apply(&mut connection, &[FIRST]).unwrap();
        apply(&mut connection, &[FIRST, SECOND, BROKEN]).unwrap_err();
        assert_eq!((schema_version(&connection).unwrap(), tables(&connection)), (1, 1));
        connection.query_row("SELECT y FROM a", [], |_| Ok(())).expect_err("nor the one before it");
        apply(&mut connection, &[FIRST, SECOND]).unwrap();
    }

    #[test]
    fn a_later_database_is_refused_in_words() {
        let mut connection = Connection::open_in_memory().unwrap();
        apply(&mut connection, &[FIRST, SECOND]).unwrap();
        let error = apply(&mut connection, &[FIRST]).unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 2, known: 1, .. }));
        assert!(error.to_string().contains("schema version 2"), "{error}");
    }
}
