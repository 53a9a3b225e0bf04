//! The log of each deployment: what was done, line by line.

use model::{AppId, DeploymentId, Timestamp};
use rusqlite::{Row, params};

use crate::query::Query;
use crate::{CompanyStore, Result, row};

/// Longest text of a line, in bytes. What an image or a registry says can be of any length.
const LONGEST_TEXT: usize = 4096;
const CUT: &str = "…";

/// Lines of a deployment that are kept; the oldest go. A build says as much as its Dockerfile pleases.
const KEPT_LINES: u32 = 5000;

/// A line of a deployment's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentLogLine {
    /// Unique on the installation; grows from line to line.
    pub id: i64,
    pub at: Timestamp,
    /// `DEBUG`, `INFO`, `WARN`, `ERROR`.
    pub severity: String,
    pub text: String,
}

/// Which lines to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentLogQuery {
    /// Included.
    pub from: Option<Timestamp>,
    /// Included.
    pub to: Option<Timestamp>,
    /// Only lines that hold this text. `A` to `Z` are the same as `a` to `z`.
    pub text: Option<String>,
    /// The newest so many lines.
    pub limit: u32,
}

impl CompanyStore {
    /// Adds a line, of this moment. A text of more than 4 KiB is cut, and ends in `…` then.
    pub async fn append_deployment_log(&self, id: DeploymentId, severity: &str, text: &str) -> Result<()> {
        let (id, company, now) = (id.to_string(), self.id(), row::nanoseconds(Timestamp::now()));
        let (severity, text) = (severity.to_owned(), capped(text));
        let sql = "INSERT INTO deployment_log (deployment, at, severity, text)
                   SELECT id, ?3, ?4, ?5 FROM deployments WHERE id = ?1 AND company = ?2";
        self.store.write(move |db| db.change_one(sql, params![id, company, now, severity, text])).await
    }

    /// Adds lines with the moment, the severity and the text of each, all or none. Of a deployment with more than 5000
    /// lines the oldest go. Texts are cut as by [`CompanyStore::append_deployment_log`].
    pub async fn append_deployment_lines(
        &self,
        id: DeploymentId,
        lines: Vec<(Timestamp, &'static str, String)>,
    ) -> Result<()> {
        let (id, company) = (id.to_string(), self.id());
        let owned = "SELECT 1 FROM deployments WHERE id = ?1 AND company = ?2";
        let add = "INSERT INTO deployment_log (deployment, at, severity, text) VALUES (?1, ?2, ?3, ?4)";
        let old = "DELETE FROM deployment_log WHERE deployment = ?1
                   AND seq <= (SELECT seq FROM deployment_log WHERE deployment = ?1
                               ORDER BY seq DESC LIMIT 1 OFFSET ?2)";
        self.store
            .write(move |db| {
                db.one(owned, [&id, &company], |_| Ok(()))?;
                for (at, severity, text) in lines {
                    db.change(add, params![id, row::nanoseconds(at), severity, capped(&text)])?;
                }
                db.change(old, params![id, KEPT_LINES]).map(drop)
            })
            .await
    }

    /// Lines of a deployment's log, oldest first; of more than the limit the newest ones.
    pub async fn deployment_log(
        &self,
        app: AppId,
        id: DeploymentId,
        query: &DeploymentLogQuery,
    ) -> Result<Vec<DeploymentLogLine>> {
        let (id, app, company, query) = (id.to_string(), app.to_string(), self.id(), query.clone());
        let (from, to) = (query.from.map(row::nanoseconds), query.to.map(row::nanoseconds));
        let owned = "SELECT 1 FROM deployments WHERE id = ?1 AND app = ?2 AND company = ?3";
        let lines = "SELECT * FROM deployment_log
                     WHERE deployment = ?1 AND (?2 IS NULL OR at >= ?2) AND (?3 IS NULL OR at <= ?3)
                       AND (?4 IS NULL OR instr(lower(text), lower(?4)) > 0)
                     ORDER BY seq DESC LIMIT ?5";
        self.store
            .read(move |db| {
                db.one(owned, [&id, &app, &company], |_| Ok(()))?;
                let mut found = db.all(lines, params![id, from, to, query.text, query.limit], line)?;
                found.reverse();
                Ok(found)
            })
            .await
    }
}

fn capped(text: &str) -> String {
    if text.len() <= LONGEST_TEXT {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(LONGEST_TEXT - CUT.len());
    format!("{}{CUT}", &text[..end])
}

fn line(row: &Row<'_>) -> Result<DeploymentLogLine> {
    Ok(DeploymentLogLine {
        id: row.get("seq")?,
        at: row::at(row, "at")?,
        severity: row.get("severity")?,
        text: row.get("text")?,
    })
}
