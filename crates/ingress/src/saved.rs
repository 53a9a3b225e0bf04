//! The routes on disk, so that an ingress serves from its first moment, with or without a control plane.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::table::RouteTable;

const FILE: &str = "routes.json";

/// The saved table. A missing file is an empty table; a damaged one is reported and is an empty table too,
/// because the control plane publishes again and a refusal to start would help nobody.
pub(crate) fn load(folder: &Path) -> RouteTable {
    let path = folder.join(FILE);
    let read = fs::read(&path).and_then(|text| serde_json::from_slice(&text).map_err(io::Error::from));
    match read {
        Ok(table) => table,
        Err(error) if error.kind() == io::ErrorKind::NotFound => RouteTable::default(),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the saved routes cannot be read and are ignored");
            RouteTable::default()
        }
    }
}

/// Saves a table, whole or not at all. Candidates belong to a deployment under way and are left out.
pub(crate) fn save(folder: &Path, table: &RouteTable) -> io::Result<()> {
    let unfinished = folder.join("routes.json.new");
    let mut file =
        OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&unfinished)?;
    file.write_all(&serde_json::to_vec(&table.lasting())?)?;
    file.sync_all()?;
    fs::rename(&unfinished, folder.join(FILE))?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::table::Backend;

    #[test]
    fn a_table_comes_back_without_its_candidates() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(folder.path()), RouteTable::default());
        let address = "127.0.0.1:1".parse().unwrap();
        let candidates =
            [("token".to_owned(), Backend { id: "a".to_owned(), address, protocol: Default::default() })]
                .into();
        let table = RouteTable { version: 7, candidates, ..RouteTable::default() };
        save(folder.path(), &table).unwrap();
        assert_eq!(load(folder.path()), RouteTable { version: 7, ..RouteTable::default() });
        let path = folder.path().join(FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!fs::read_to_string(&path).unwrap().contains("token"));
    }

    #[test]
    fn a_damaged_file_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        for damaged in ["", "{", "{\"version\":\"x\"}", "\0\0\0"] {
            fs::write(folder.path().join(FILE), damaged).unwrap();
            assert_eq!(load(folder.path()), RouteTable::default(), "{damaged:?}");
        }
    }
}
