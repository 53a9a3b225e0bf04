//! Another key for the installation: everything sealed is sealed anew.
//!
//! The steps are such that a crash after any of them leaves a data folder that opens:
//! 1. `key.new` is on the disk, whole. The database is still bound to `key`, and opening removes `key.new`.
//! 2. One transaction seals everything with the new key and binds the database to it. From here on `key.new` has
//!    the key, and opening puts it in place.
//! 3. `key.new` becomes `key`; the old key is gone.

use std::path::Path;

use model::CompanyId;
use rusqlite::{Connection, params};

use crate::key::Key;
use crate::query::Query;
use crate::seal::{Place, Sealed, Vault};
use crate::store::Files;
use crate::writer::in_transaction;
use crate::{Result, Store, file, hooks, key_check, open, row};

/// Every column of sealed values, as table, column and what names the row, which is what the value is bound to. Their
/// tables have a `company`.
const SEALED: [(&str, &str, &str); 5] = [
    ("credentials", "secret", "id"),
    ("env_vars", "value", "id"),
    ("releases", "env", "id"),
    ("git_credentials", "secret", "id"),
    ("hooks", "secret", hooks::ROW),
];

/// What a rotation of the key did. Ids of keys say nothing about them; they tell which backup needs which key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotateReport {
    pub old_key: String,
    pub new_key: String,
    /// Values that were sealed anew.
    pub resealed: u64,
}

impl Store {
    /// Gives the installation of a data folder another key. Nothing else may have the database open:
    /// [`crate::StoreError::Busy`]. When a value does not open with the old key, nothing changes.
    ///
    /// Copies of the database from before need the old key, which this removes. It blocks.
    pub fn rotate_key(data_dir: &Path) -> Result<RotateReport> {
        let files = Files::of(data_dir);
        if !file::exists(&files.database)? {
            let problem = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(file::failed("opening", &files.database)(problem));
        }
        let mut connection = open::only_writer(&files.database)?;
        let old = files.bring_up_to_date(&mut connection)?;
        // Pages that are free may hold values sealed with the old key.
        connection.execute_batch("VACUUM")?;

        let beside = Key::next_path(&files.key);
        let new = Key::make(&beside)?;
        let resealed = in_transaction(&mut connection, |db| {
            key_check::bind(db, &new)?;
            reseal(db, &Vault::new(&old), &Vault::new(&new))
        })?;
        file::put_in_place(&beside, &files.key)?;
        Ok(RotateReport { old_key: old.id(), new_key: new.id(), resealed })
    }
}

fn reseal(db: &Connection, old: &Vault, new: &Vault) -> Result<u64> {
    let mut count = 0;
    for (table, column, name) in SEALED {
        let read = format!("SELECT company, {column} FROM {table} WHERE {name} = ?1");
        let write = format!("UPDATE {table} SET {column} = ?2 WHERE {name} = ?1");
        let ids: Vec<String> = db.all(&format!("SELECT {name} FROM {table}"), [], |row| Ok(row.get(0)?))?;
        for id in ids {
            let (company, sealed): (CompanyId, Sealed) =
                db.one(&read, [&id], |row| Ok((row::parsed(row, "company")?, row.get(column)?)))?;
            let place = Place { table, column, row: &id, company: Some(company) };
            db.change_one(&write, params![id, new.seal(&place, &old.open(&place, &sealed)?)?])?;
            count += 1;
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate;

    /// A sealed column that a rotation forgot would be lost for good.
    #[test]
    fn every_column_of_bytes_is_sealed_anew_or_known_not_to_be_sealed() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate::migrate(&mut connection).unwrap();
        let sql = "SELECT tables.name || '.' || columns.name FROM pragma_table_list AS tables
                   JOIN pragma_table_info(tables.name) AS columns
                   WHERE tables.type = 'table' AND columns.type = 'BLOB' ORDER BY 1";
        let found: Vec<String> = connection.all(sql, [], |row| Ok(row.get(0)?)).unwrap();
        // Tokens are hashes; the installation's values are dealt with one by one.
        let mut expected = vec!["api_keys.old_token_hash", "api_keys.token_hash", "installation.value"]
            .into_iter()
            .map(str::to_owned)
            .chain(SEALED.map(|(table, column, _)| format!("{table}.{column}")))
            .collect::<Vec<_>>();
        expected.sort();
        assert_eq!(found, expected);
    }
}
