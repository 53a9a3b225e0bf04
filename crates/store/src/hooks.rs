//! The addresses that others call to have an application deployed. Their secrets are sealed.

use model::{AppId, CompanyId, Timestamp};
use rusqlite::{Connection, Row, params};

use crate::query::Query;
use crate::seal::{Place, Sealed, Vault};
use crate::{CompanyStore, InstanceStore, Result, Secret, row};

/// What names a row, in SQL.
pub const ROW: &str = "app || '/' || kind";

/// What a hook is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookKind {
    /// Whoever knows its secret may deploy.
    Deploy,
    /// A Git server tells of pushes, and signs what it says with the secret.
    Push,
}

impl HookKind {
    /// The word in the database.
    fn as_str(self) -> &'static str {
        match self {
            HookKind::Deploy => "deploy",
            HookKind::Push => "push",
        }
    }
}

/// A hook, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    pub app: AppId,
    /// Last call that bore the right secret.
    pub last_called_at: Option<Timestamp>,
    /// When this secret was made.
    pub created_at: Timestamp,
}

/// A hook that somebody calls, who has shown nothing yet.
pub struct CalledHook {
    pub company: CompanyId,
    /// What the caller has to show, or to have signed with.
    pub secret: Secret,
}

impl CompanyStore {
    /// The hook of an application, if it has one.
    pub async fn hook(&self, app: AppId, kind: HookKind) -> Result<Option<Hook>> {
        let (app, company) = (app.to_string(), self.id());
        self.store
            .read(move |db| {
                owned(db, &app, &company)?;
                find(db, &app, &company, kind)
            })
            .await
    }

    /// The hook of an application with its secret unsealed, if it has one.
    pub async fn hook_with_secret(&self, app: AppId, kind: HookKind) -> Result<Option<(Hook, Secret)>> {
        let (company, vault) = (self.company, self.store.vault());
        self.store
            .read(move |db| {
                let (app, owner) = (app.to_string(), company.to_string());
                owned(db, &app, &owner)?;
                let sql = "SELECT * FROM hooks WHERE app = ?1 AND company = ?2 AND kind = ?3";
                db.maybe(sql, [&app, &owner, kind.as_str()], |row| {
                    let sealed: Sealed = row.get("secret")?;
                    let secret = open(&vault, &app, kind, company, &sealed)?;
                    Ok((hook(row)?, secret))
                })
            })
            .await
    }

    /// Gives an application a hook with this secret, in place of the one that it has.
    pub async fn set_hook(&self, app: AppId, kind: HookKind, secret: &str) -> Result<Hook> {
        let company = self.company;
        let name = row_name(&app.to_string(), kind);
        let sealed = self.store.vault().seal(&place(&name, company), secret.as_bytes())?;
        let sql = "INSERT OR REPLACE INTO hooks (app, company, kind, secret, created_at)
                   VALUES (?1, ?2, ?3, ?4, ?5)";
        self.store
            .write(move |db| {
                let (id, owner, now) = (app.to_string(), company.to_string(), Timestamp::now());
                owned(db, &id, &owner)?;
                db.change_one(sql, params![id, owner, kind.as_str(), sealed, row::nanoseconds(now)])?;
                Ok(Hook { app, last_called_at: None, created_at: now })
            })
            .await
    }

    /// Takes an application's hook away; gives whether it had one.
    pub async fn remove_hook(&self, app: AppId, kind: HookKind) -> Result<bool> {
        let (app, company) = (app.to_string(), self.id());
        let sql = "DELETE FROM hooks WHERE app = ?1 AND company = ?2 AND kind = ?3";
        self.store
            .write_on_reserve(move |db| {
                owned(db, &app, &company)?;
                Ok(db.change(sql, [&app, &company, kind.as_str()])? > 0)
            })
            .await
    }

    /// Notes that a hook was called with the right secret. That it is gone by now is no error.
    pub async fn hook_called(&self, app: AppId, kind: HookKind, at: Timestamp) -> Result<()> {
        let (app, company, at) = (app.to_string(), self.id(), row::nanoseconds(at));
        let sql = "UPDATE hooks SET last_called_at = max(coalesce(last_called_at, ?4), ?4)
                   WHERE app = ?1 AND company = ?2 AND kind = ?3";
        self.store.write(move |db| db.change(sql, params![app, company, kind.as_str(), at]).map(drop)).await
    }
}

impl InstanceStore {
    /// The hook that somebody calls, of whatever company. An application that is not there costs the same work as a
    /// hook that is not there: one look and one value that is opened.
    pub async fn called_hook(&self, app: AppId, kind: HookKind) -> Result<Option<CalledHook>> {
        let vault = self.store.vault();
        self.store
            .read(move |db| {
                let app = app.to_string();
                let sql = "SELECT company, secret FROM hooks WHERE app = ?1 AND kind = ?2";
                let found = db.maybe(sql, [app.as_str(), kind.as_str()], |row| {
                    Ok((row::parsed::<CompanyId>(row, "company")?, row.get::<_, Sealed>("secret")?))
                })?;
                let Some((company, sealed)) = found else {
                    // It does not open; only the time that trying takes is wanted.
                    let nobody = CompanyId::from_uuid(Default::default());
                    let _ = open(&vault, &app, kind, nobody, &Sealed::of_nothing());
                    return Ok(None);
                };
                let secret = open(&vault, &app, kind, company, &sealed)?;
                Ok(Some(CalledHook { company, secret }))
            })
            .await
    }
}

fn owned(db: &Connection, app: &str, company: &str) -> Result<()> {
    db.one("SELECT 1 FROM apps WHERE id = ?1 AND company = ?2", [app, company], |_| Ok(()))
}

fn find(db: &Connection, app: &str, company: &str, kind: HookKind) -> Result<Option<Hook>> {
    let sql =
        "SELECT app, last_called_at, created_at FROM hooks WHERE app = ?1 AND company = ?2 AND kind = ?3";
    db.maybe(sql, [app, company, kind.as_str()], hook)
}

fn hook(row: &Row<'_>) -> Result<Hook> {
    Ok(Hook {
        app: row::parsed(row, "app")?,
        last_called_at: row::at_if_any(row, "last_called_at")?,
        created_at: row::at(row, "created_at")?,
    })
}

fn open(vault: &Vault, app: &str, kind: HookKind, company: CompanyId, sealed: &Sealed) -> Result<Secret> {
    vault.open_secret(&place(&row_name(app, kind), company), sealed)
}

/// The value of [`ROW`].
fn row_name(app: &str, kind: HookKind) -> String {
    format!("{app}/{}", kind.as_str())
}

fn place(row: &str, company: CompanyId) -> Place<'_> {
    Place { table: "hooks", column: "secret", row, company: Some(company) }
}
