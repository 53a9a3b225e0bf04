//! Environment variables of applications. Their values are sealed.

use model::{AppId, CompanyId, EnvVar, EnvVarId};
use rusqlite::{Connection, Row, params};

use crate::query::{List, Query};
use crate::seal::{Place, Sealed, Vault};
use crate::{CompanyStore, Listed, Page, Result, StoreError, row};

impl CompanyStore {
    /// The variables of an application, oldest first.
    pub async fn env_vars(&self, app: AppId, page: Page) -> Result<Listed<EnvVar>> {
        const VARIABLES: List =
            List { columns: "*", from: "env_vars WHERE app = ?1 AND company = ?2", order: "seq" };
        let (app, company, vault) = (app.to_string(), self.id(), self.store.vault());
        self.store
            .read(move |db| db.part(&VARIABLES, &[&app, &company], page, |row| env_var(row, &vault)))
            .await
    }

    /// Every variable of an application, oldest first.
    pub async fn all_env_vars(&self, app: AppId) -> Result<Vec<EnvVar>> {
        let (app, company, vault) = (app.to_string(), self.id(), self.store.vault());
        let sql = "SELECT * FROM env_vars WHERE app = ?1 AND company = ?2 ORDER BY seq";
        self.store.read(move |db| db.all(sql, [app, company], |row| env_var(row, &vault))).await
    }

    /// The variables that a build sees, oldest first: all but those that are not to be used there.
    pub async fn build_variables(&self, app: AppId) -> Result<Vec<EnvVar>> {
        let vars = self.all_env_vars(app).await?;
        Ok(vars.into_iter().filter(|var| var.is_buildtime != Some(false)).collect())
    }

    /// One variable of an application.
    pub async fn env_var(&self, app: AppId, id: EnvVarId) -> Result<EnvVar> {
        let (id, app, company, vault) = (id.to_string(), app.to_string(), self.id(), self.store.vault());
        let sql = "SELECT * FROM env_vars WHERE id = ?1 AND app = ?2 AND company = ?3";
        self.store.read(move |db| db.one(sql, [id, app, company], |row| env_var(row, &vault))).await
    }

    /// Adds a variable. [`StoreError::KeyTaken`] when the application has one of this name.
    pub async fn create_env_var(&self, var: &EnvVar) -> Result<()> {
        self.check_owner(var.company)?;
        let (var, vault) = (var.clone(), self.store.vault());
        self.store.write(move |db| insert(db, &var, &vault)).await
    }

    /// Changes name, value and uses of a variable, and the moment of the change.
    pub async fn update_env_var(&self, var: &EnvVar) -> Result<()> {
        self.check_owner(var.company)?;
        let (var, vault) = (var.clone(), self.store.vault());
        self.store.write(move |db| update(db, &var, &vault)).await
    }

    /// Removes a variable.
    pub async fn delete_env_var(&self, app: AppId, id: EnvVarId) -> Result<()> {
        let (id, app, company) = (id.to_string(), app.to_string(), self.id());
        let sql = "DELETE FROM env_vars WHERE id = ?1 AND app = ?2 AND company = ?3";
        self.store.write_on_reserve(move |db| db.change_one(sql, [id, app, company])).await
    }
}

fn insert(db: &Connection, var: &EnvVar, vault: &Vault) -> Result<()> {
    let id = var.id.to_string();
    let value = vault.seal(&place(&id, var.company), var.value.as_bytes())?;
    db.change_one(
        "INSERT INTO env_vars (id, app, company, key, value, is_runtime, is_buildtime, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            id,
            var.app.to_string(),
            var.company.to_string(),
            var.key,
            value,
            var.is_runtime,
            var.is_buildtime,
            row::nanoseconds(var.created_at),
            row::nanoseconds(var.updated_at),
        ],
    )
    .map_err(|error| error.when_taken(StoreError::KeyTaken))
}

fn update(db: &Connection, var: &EnvVar, vault: &Vault) -> Result<()> {
    let id = var.id.to_string();
    let value = vault.seal(&place(&id, var.company), var.value.as_bytes())?;
    db.change_one(
        "UPDATE env_vars SET key = ?4, value = ?5, is_runtime = ?6, is_buildtime = ?7, updated_at = ?8
         WHERE id = ?1 AND app = ?2 AND company = ?3",
        params![
            id,
            var.app.to_string(),
            var.company.to_string(),
            var.key,
            value,
            var.is_runtime,
            var.is_buildtime,
            row::nanoseconds(var.updated_at),
        ],
    )
    .map_err(|error| error.when_taken(StoreError::KeyTaken))
}

fn env_var(row: &Row<'_>, vault: &Vault) -> Result<EnvVar> {
    let (id, company): (EnvVarId, _) = (row::parsed(row, "id")?, row::parsed(row, "company")?);
    let sealed: Sealed = row.get("value")?;
    Ok(EnvVar {
        id,
        app: row::parsed(row, "app")?,
        company,
        key: row.get("key")?,
        value: vault.open_text(&place(&id.to_string(), company), &sealed)?,
        is_runtime: row.get("is_runtime")?,
        is_buildtime: row.get("is_buildtime")?,
        created_at: row::at(row, "created_at")?,
        updated_at: row::at(row, "updated_at")?,
    })
}

fn place(id: &str, company: CompanyId) -> Place<'_> {
    Place { table: "env_vars", column: "value", row: id, company: Some(company) }
}
