//! Which key belongs to a database: it holds the key's id and a known text sealed with it.

use std::path::Path;

use rusqlite::Connection;

use crate::key::Key;
use crate::query::Query;
use crate::seal::{Place, Sealed, Vault};
use crate::{KeyProblem, Result, StoreError, file};

const TEXT: &str = "this is the key";
const PLACE: Place<'static> =
    Place { table: "installation", column: "value", row: "key_check", company: None };

/// Binds the database to a key, its first one or the next.
pub fn bind(db: &Connection, key: &Key) -> Result<()> {
    let check = Vault::new(key).seal(&PLACE, TEXT.as_bytes())?;
    let sql = "INSERT OR REPLACE INTO installation (name, value) VALUES (?1, ?2)";
    db.change_one(sql, ("key_check", check))?;
    db.change_one(sql, ("key_id", key.id().into_bytes()))
}

/// The database's key from its file. A rotation that was cut off is brought to its end, or its left-over removed:
/// the database alone says which of the two files has the key.
pub fn find_key(db: &Connection, path: &Path) -> Result<Key> {
    let (expected, beside) = (expected_id(db)?, Key::next_path(path));
    let key = match read_fitting(path, &expected) {
        Ok(key) => {
            file::remove(&beside)?;
            key
        }
        Err(problem) => {
            let key = read_fitting(&beside, &expected).map_err(|other| worse(problem, other))?;
            file::put_in_place(&beside, path)?;
            tracing::info!(key = key.id(), "an interrupted rotation of the key is complete");
            key
        }
    };
    let check: Sealed =
        db.one("SELECT value FROM installation WHERE name = 'key_check'", [], |row| Ok(row.get(0)?))?;
    Vault::new(&key).open(&PLACE, &check)?;
    Ok(key)
}

fn expected_id(db: &Connection) -> Result<String> {
    let sql = "SELECT CAST(value AS TEXT) FROM installation WHERE name = 'key_id'";
    let expected = db.maybe(sql, [], |row| Ok(row.get(0)?))?;
    expected.ok_or_else(|| StoreError::Damaged("the name of its key is gone".to_owned()))
}

fn read_fitting(path: &Path, expected: &str) -> Result<Key> {
    let key = Key::read(path)?;
    if key.id() == expected {
        return Ok(key);
    }
    let problem = KeyProblem::Wrong { found: key.id(), expected: expected.to_owned() };
    Err(StoreError::Key { path: path.to_owned(), problem })
}

/// The one to tell about. The file of a rotation matters when only its mode is in the way: it may have the key.
fn worse(of_key: StoreError, of_next: StoreError) -> StoreError {
    match of_next {
        StoreError::Key { problem: KeyProblem::Readable(_), .. } => of_next,
        _ => of_key,
    }
}
