//! Applications.

use model::{App, AppId, AppName, AppStatus, Process, Timestamp};
use rusqlite::{Connection, Row, params};

use crate::query::{List, Query};
use crate::{CompanyStore, Listed, Page, Result, StoreError, api_keys, processes, row};

impl CompanyStore {
    /// Adds an application with its web process. [`StoreError::NameTaken`] when any application of the
    /// installation has the name.
    pub async fn create_app(&self, app: &App, web: &Process) -> Result<()> {
        self.check_owner(app.company)?;
        self.check_owner(web.company)?;
        let (app, web) = (app.clone(), web.clone());
        self.store
            .write(move |db| {
                insert(db, &app)?;
                processes::insert(db, &web)
            })
            .await
    }

    /// One application.
    pub async fn app(&self, id: AppId) -> Result<App> {
        let (id, company) = (id.to_string(), self.id());
        self.store
            .read(move |db| db.one("SELECT * FROM apps WHERE id = ?1 AND company = ?2", [id, company], app))
            .await
    }

    /// The application with a name.
    pub async fn app_by_name(&self, name: &AppName) -> Result<App> {
        let (name, company) = (name.to_string(), self.id());
        let sql = "SELECT * FROM apps WHERE name = ?1 AND company = ?2";
        self.store.read(move |db| db.one(sql, [name, company], app)).await
    }

    /// Applications, newest first.
    pub async fn apps(&self, page: Page) -> Result<Listed<App>> {
        const APPS: List = List { columns: "*", from: "apps WHERE company = ?1", order: "seq DESC" };
        let company = self.id();
        self.store.read(move |db| db.part(&APPS, &[&company], page, app)).await
    }

    /// Changes what a person can change: display name, project, source and kept settings, and the moment of the
    /// change. Everything else has its own method or never changes.
    pub async fn update_app(&self, app: &App) -> Result<()> {
        self.check_owner(app.company)?;
        let app = app.clone();
        let sql = "UPDATE apps SET display_name = ?3, project = ?4, source = ?5, kept = ?6, updated_at = ?7
                   WHERE id = ?1 AND company = ?2";
        self.store
            .write(move |db| {
                let (source, kept) = (row::to_json(&app.source)?, row::to_json(&app.kept)?);
                let project = app.project.map(|project| project.to_string());
                let (id, company) = (app.id.to_string(), app.company.to_string());
                let updated_at = row::nanoseconds(app.updated_at);
                db.change_one(sql, params![id, company, app.display_name, project, source, kept, updated_at])
            })
            .await
    }

    /// Marks an application as suspended, or not.
    pub async fn set_suspended(&self, id: AppId, suspended: bool) -> Result<()> {
        let (id, company, now) = (id.to_string(), self.id(), row::nanoseconds(Timestamp::now()));
        let sql = "UPDATE apps SET is_suspended = ?3, updated_at = ?4 WHERE id = ?1 AND company = ?2";
        self.store.write_on_reserve(move |db| db.change_one(sql, params![id, company, suspended, now])).await
    }

    /// Removes an application with everything it has, waiting deployments too.
    /// [`StoreError::DeploymentInProgress`] while a deployment runs.
    pub async fn delete_app(&self, id: AppId) -> Result<()> {
        let company = self.company;
        self.store
            .write_on_reserve(move |db| {
                let (id, owner) = (id.to_string(), company.to_string());
                let sql = "SELECT EXISTS (SELECT 1 FROM deployments WHERE app = ?1 AND company = ?2
                                          AND state NOT IN ('waiting', 'done', 'failed', 'skipped'))";
                if db.one(sql, [&id, &owner], |row| Ok(row.get(0)?))? {
                    return Err(StoreError::DeploymentInProgress);
                }
                db.change_one("DELETE FROM apps WHERE id = ?1 AND company = ?2", [&id, &owner])?;
                api_keys::drop_capabilities(db, company, &id)
            })
            .await
    }
}

fn insert(db: &Connection, app: &App) -> Result<()> {
    db.change_one(
        "INSERT INTO apps (id, company, name, display_name, project, source, kept, is_suspended, status, created_by,
                           created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            app.id.to_string(),
            app.company.to_string(),
            app.name.as_str(),
            app.display_name,
            app.project.map(|project| project.to_string()),
            row::to_json(&app.source)?,
            row::to_json(&app.kept)?,
            app.is_suspended,
            app.status.map(AppStatus::as_str),
            app.created_by,
            row::nanoseconds(app.created_at),
            row::nanoseconds(app.updated_at),
        ],
    )
    .map_err(|error| error.when_taken(StoreError::NameTaken))
}

/// An application from all columns of its table.
pub fn app(row: &Row<'_>) -> Result<App> {
    let status: Option<String> = row.get("status")?;
    Ok(App {
        id: row::parsed(row, "id")?,
        company: row::parsed(row, "company")?,
        name: row::parsed(row, "name")?,
        display_name: row.get("display_name")?,
        project: row::parsed_if_any(row, "project")?,
        source: row::json(row, "source")?,
        kept: row::json(row, "kept")?,
        is_suspended: row.get("is_suspended")?,
        status: status.map(|status| row::word(status, "status")).transpose()?,
        serving: row::parsed_if_any(row, "serving")?,
        created_by: row.get("created_by")?,
        created_at: row::at(row, "created_at")?,
        updated_at: row::at(row, "updated_at")?,
    })
}
