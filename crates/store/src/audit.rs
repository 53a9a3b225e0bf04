//! The audit log: who did what, when, from where. It is only added to; the database itself refuses
//! anything else, but for the oldest entries of a very long log.

use model::{CompanyId, Timestamp};
use rusqlite::{Row, params};

use crate::query::{List, Query};
use crate::{CompanyStore, InstanceStore, Listed, Page, Result, prune, row};

/// Who did what, and when. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    pub at: Timestamp,
    /// `None` when it is nobody's, such as a refused sign-in.
    pub company: Option<CompanyId>,
    /// User or API key.
    pub actor: String,
    /// Such as `app.delete`.
    pub action: String,
    /// Id or name of what it was done to.
    pub target: String,
    pub ip: Option<String>,
}

impl InstanceStore {
    /// Adds an entry, also one of no company. Of each company the newest 10,000 are kept.
    pub async fn append_audit(&self, entry: &AuditEntry) -> Result<()> {
        let AuditEntry { at, company, actor, action, target, ip } = entry.clone();
        let (at, company) = (row::nanoseconds(at), company.map(|company| company.to_string()));
        let sql =
            "INSERT INTO audit_log (at, company, actor, action, target, ip) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        self.store
            .write(move |db| {
                db.change_one(sql, params![at, company, actor, action, target, ip])?;
                prune::audit_log(db, company.as_deref())
            })
            .await
    }
}

impl CompanyStore {
    /// The company's entries, newest first.
    pub async fn audit(&self, page: Page) -> Result<Listed<AuditEntry>> {
        const ENTRIES: List = List { columns: "*", from: "audit_log WHERE company = ?1", order: "seq DESC" };
        let company = self.id();
        self.store.read(move |db| db.part(&ENTRIES, &[&company], page, entry)).await
    }
}

fn entry(row: &Row<'_>) -> Result<AuditEntry> {
    Ok(AuditEntry {
        at: row::at(row, "at")?,
        company: row::parsed_if_any(row, "company")?,
        actor: row.get("actor")?,
        action: row.get("action")?,
        target: row.get("target")?,
        ip: row.get("ip")?,
    })
}
