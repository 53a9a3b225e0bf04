//! Processes of applications.

use model::{AppId, Process, ProcessId};
use rusqlite::{Connection, Row, params};

use crate::query::Query;
use crate::{CompanyStore, Result, row};

impl CompanyStore {
    /// The processes of an application, oldest first.
    pub async fn processes(&self, app: AppId) -> Result<Vec<Process>> {
        let (app, company) = (app.to_string(), self.id());
        let sql = "SELECT * FROM processes WHERE app = ?1 AND company = ?2 ORDER BY seq";
        self.store.read(move |db| db.all(sql, [app, company], process)).await
    }

    /// One process of an application.
    pub async fn process(&self, app: AppId, id: ProcessId) -> Result<Process> {
        let (id, app, company) = (id.to_string(), app.to_string(), self.id());
        let sql = "SELECT * FROM processes WHERE id = ?1 AND app = ?2 AND company = ?3";
        self.store.read(move |db| db.one(sql, [id, app, company], process)).await
    }

    /// The process that answers requests.
    pub async fn web_process(&self, app: AppId) -> Result<Process> {
        let (app, company) = (app.to_string(), self.id());
        let sql = "SELECT * FROM processes WHERE key = 'web' AND app = ?1 AND company = ?2";
        self.store.read(move |db| db.one(sql, [app, company], process)).await
    }

    /// Changes everything but ids, key and the moment of creation.
    pub async fn update_process(&self, process: &Process) -> Result<()> {
        self.check_owner(process.company)?;
        let process = process.clone();
        self.store.write(move |db| update(db, &process)).await
    }
}

fn update(db: &Connection, process: &Process) -> Result<()> {
    db.change_one(
        "UPDATE processes
         SET display_name = ?4, entrypoint = ?5, port = ?6, is_ingress_enabled = ?7, ingress_protocol = ?8, size = ?9,
             scaling = ?10, liveness_probe = ?11, readiness_probe = ?12, updated_at = ?13
         WHERE id = ?1 AND app = ?2 AND company = ?3",
        params![
            process.id.to_string(),
            process.app.to_string(),
            process.company.to_string(),
            process.display_name,
            process.entrypoint,
            process.port,
            process.is_ingress_enabled,
            process.ingress_protocol,
            process.size.to_string(),
            process.scaling,
            process.liveness_probe,
            process.readiness_probe,
            row::nanoseconds(process.updated_at),
        ],
    )
}

/// Adds a process.
pub fn insert(db: &Connection, process: &Process) -> Result<()> {
    db.change_one(
        "INSERT INTO processes (id, app, company, key, display_name, entrypoint, port, is_ingress_enabled,
                                ingress_protocol, size, scaling, liveness_probe, readiness_probe, created_at,
                                updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        params![
            process.id.to_string(),
            process.app.to_string(),
            process.company.to_string(),
            process.key,
            process.display_name,
            process.entrypoint,
            process.port,
            process.is_ingress_enabled,
            process.ingress_protocol,
            process.size.to_string(),
            process.scaling,
            process.liveness_probe,
            process.readiness_probe,
            row::nanoseconds(process.created_at),
            row::nanoseconds(process.updated_at),
        ],
    )
}

fn process(row: &Row<'_>) -> Result<Process> {
    Ok(Process {
        id: row::parsed(row, "id")?,
        app: row::parsed(row, "app")?,
        company: row::parsed(row, "company")?,
        key: row.get("key")?,
        display_name: row.get("display_name")?,
        entrypoint: row.get("entrypoint")?,
        port: row.get("port")?,
        is_ingress_enabled: row.get("is_ingress_enabled")?,
        ingress_protocol: row.get("ingress_protocol")?,
        size: row::parsed(row, "size")?,
        scaling: row.get("scaling")?,
        liveness_probe: row.get("liveness_probe")?,
        readiness_probe: row.get("readiness_probe")?,
        created_at: row::at(row, "created_at")?,
        updated_at: row::at(row, "updated_at")?,
    })
}
