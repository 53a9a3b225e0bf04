//! What goes so that the database does not grow for ever. Whoever adds a row removes a few that are too old, in a
//! small change of its own: there is no moment at which much is removed at once, and none at which nothing is.

use model::AppId;
use rusqlite::{Connection, params};

use crate::query::Query;
use crate::{Result, Store};

/// Successes of an application whose releases and images are kept, so that going back needs no registry.
pub const KEPT_RELEASES: u32 = 10;
/// Deployments of an application that are kept whatever became of them.
const KEPT_DEPLOYMENTS: u32 = 100;
/// Entries of the audit log that are kept for each company. The schema holds this number as well: no entry among them
/// can be deleted.
const KEPT_AUDIT_ENTRIES: u32 = 10_000;
/// How much one change removes at most.
const DEPLOYMENTS_AT_ONCE: u32 = 50;
const AUDIT_ENTRIES_AT_ONCE: u32 = 2;

/// The newest success of each release of an application that can be gone back to: as columns `id`, `app`, `release`
/// and `place`, which counts from the newest, 1.
pub const SUCCESSES: &str = "
    SELECT id, app, \"release\", row_number() OVER (PARTITION BY app ORDER BY seq DESC) AS place
    FROM deployments
    WHERE seq IN (SELECT max(seq) FROM deployments
                  WHERE state = 'done' AND \"release\" IS NOT NULL GROUP BY app, \"release\")";

/// Removes some of an application's oldest deployments with their logs, and releases that none refers to any more.
/// Kept are the newest hundred, whatever is not over, what serves, and the last ten releases that did. That it cannot
/// be done now is no reason to fail whoever added one.
pub async fn deployments(store: &Store, app: AppId) {
    if let Err(error) = store.write_on_reserve(move |db| deployments_of(db, app)).await {
        tracing::warn!(%app, %error, "old deployments cannot be removed now");
    }
}

fn deployments_of(db: &Connection, app: AppId) -> Result<()> {
    let app = app.to_string();
    let old = format!(
        "DELETE FROM deployments WHERE id IN (
             SELECT id FROM deployments
             WHERE app = ?1 AND state IN ('done', 'failed', 'skipped')
               AND seq <= (SELECT seq FROM deployments WHERE app = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)
               AND id IS NOT (SELECT serving FROM apps WHERE id = ?1)
               -- A key goes with its deployment, and is kept for its time.
               AND id NOT IN (SELECT deployment FROM request_keys)
               AND id NOT IN (SELECT id FROM ({SUCCESSES}) WHERE app = ?1 AND place <= ?3)
             ORDER BY seq LIMIT ?4)"
    );
    if db.change(&old, params![app, KEPT_DEPLOYMENTS, KEPT_RELEASES, DEPLOYMENTS_AT_ONCE])? > 0 {
        let unused = "DELETE FROM releases WHERE app = ?1
                      AND id NOT IN (SELECT \"release\" FROM deployments WHERE app = ?1 AND \"release\" IS NOT NULL)";
        db.change(unused, [app])?;
    }
    Ok(())
}

/// Removes the oldest entries of a company's audit log beyond those that are kept, within the change that adds one.
pub fn audit_log(db: &Connection, company: Option<&str>) -> Result<()> {
    let old = "DELETE FROM audit_log WHERE seq IN (
                   SELECT seq FROM audit_log
                   WHERE company IS ?1
                     AND seq <= (SELECT seq FROM audit_log WHERE company IS ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)
                   ORDER BY seq LIMIT ?3)";
    db.change(old, params![company, KEPT_AUDIT_ENTRIES, AUDIT_ENTRIES_AT_ONCE])?;
    Ok(())
}
