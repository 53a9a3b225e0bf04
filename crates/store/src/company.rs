//! The rows of one company. Each table group adds its methods in a file of its own.

use model::CompanyId;
use model::access::Company;

use crate::query::Query;
use crate::row;
use crate::{Result, Store, StoreError};

/// The rows of one company, and no others: an id of another one is [`StoreError::NotFound`].
#[derive(Clone)]
pub struct CompanyStore {
    pub(crate) store: Store,
    pub(crate) company: CompanyId,
}

impl CompanyStore {
    /// The company itself.
    pub async fn company(&self) -> Result<Company> {
        let id = self.company;
        let sql = "SELECT name, created_at FROM companies WHERE id = ?1";
        let map = move |row: &rusqlite::Row<'_>| {
            Ok(Company { id, name: row.get("name")?, created_at: row::at(row, "created_at")? })
        };
        self.store.read(move |db| db.one(sql, [id.to_string()], map)).await
    }

    /// Its id as it is stored.
    pub(crate) fn id(&self) -> String {
        self.company.to_string()
    }

    /// A record to be stored must be this company's.
    pub(crate) fn check_owner(&self, owner: CompanyId) -> Result<()> {
        match owner == self.company {
            true => Ok(()),
            false => Err(StoreError::NotFound),
        }
    }
}
