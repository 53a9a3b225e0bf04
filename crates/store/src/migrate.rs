//! Brings the schema up to date. A migration is a file of `migrations/`, numbered from 1 without gaps; it runs
//! in one transaction together with its number, so it happened or it did not.

use rusqlite::Connection;

use crate::writer::in_transaction;
use crate::{Result, StoreError};

/// Every migration there is, oldest first. Once released, none is ever changed.
const MIGRATIONS: &[&str] = &[include_str!("../migrations/0001_first.sql")];

/// Runs the migrations that this database has not seen; refuses a database of a later version.
pub fn migrate(connection: &mut Connection) -> Result<()> {
    apply(connection, MIGRATIONS)
}

fn apply(connection: &mut Connection, migrations: &[&str]) -> Result<()> {
    let known = migrations.len() as u32;
    let found = schema_version(connection)?;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for (version, sql) in (1..).zip(migrations).skip(found as usize) {
        in_transaction(connection, |transaction| {
            transaction.execute_batch(sql)?;
            Ok(transaction.pragma_update(None, "user_version", version)?)
        })?;
        tracing::info!(version, "the schema of the database is up to date with this migration");
    }
    Ok(())
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
        apply(&mut connection, &[FIRST, BROKEN]).unwrap_err();
        assert_eq!((schema_version(&connection).unwrap(), tables(&connection)), (1, 1));
        apply(&mut connection, &[FIRST, SECOND]).unwrap();
    }

    #[test]
    fn a_later_database_is_refused_in_words() {
        let mut connection = Connection::open_in_memory().unwrap();
        apply(&mut connection, &[FIRST, SECOND]).unwrap();
        let error = apply(&mut connection, &[FIRST]).unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 2, known: 1 }));
        assert!(error.to_string().contains("schema version 2"), "{error}");
    }
}
