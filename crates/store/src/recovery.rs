//! What a start has to know about all companies: what serves, what was under way, which images are needed.

use model::image::Digest;
use model::{App, AppId, Deployment, DeploymentId, Release};

use crate::prune::{KEPT_RELEASES, SUCCESSES};
use crate::query::Query;
use crate::{InstanceStore, Result, StoreError, apps, deployments, releases, row};

impl InstanceStore {
    /// Every application that serves, with the deployment and the release that do; suspended ones too. The
    /// containers of the machine belong to all companies together.
    pub async fn serving(&self) -> Result<Vec<(App, Deployment, Release)>> {
        let vault = self.store.vault();
        self.store
            .read(move |db| {
                let apps = db.all("SELECT * FROM apps WHERE serving IS NOT NULL ORDER BY seq", [], apps::app)?;
                let served = apps.into_iter().map(|app| {
                    let serving = app.serving.ok_or(StoreError::NotFound)?;
                    let deployment = deployments::find(db, serving, app.company)?;
                    let sql = "SELECT releases.* FROM releases
                               JOIN deployments ON deployments.\"release\" = releases.id WHERE deployments.id = ?1";
                    let release = db.maybe(sql, [serving.to_string()], |row| releases::release(row, &vault))?;
                    Ok((app, deployment, release.ok_or_else(|| without_release(serving))?))
                });
                served.collect()
            })
            .await
    }

    /// Every application, oldest first.
    pub async fn app_ids(&self) -> Result<Vec<AppId>> {
        let sql = "SELECT id FROM apps ORDER BY seq";
        self.store.read(move |db| db.all(sql, [], |row| row::parsed(row, "id"))).await
    }

    /// Every deployment that is not over, oldest first: all of them are carried on after a restart.
    pub async fn unfinished(&self) -> Result<Vec<Deployment>> {
        let sql = "SELECT * FROM deployments WHERE state NOT IN ('done', 'failed', 'skipped') ORDER BY seq";
        self.store.read(move |db| db.all(sql, [], deployments::deployment)).await
    }

    /// The manifests whose layers must stay on the disk: those of what serves, of what is under way, and of each
    /// application's last ten releases that served. Layers are shared by all companies.
    pub async fn kept_manifests(&self) -> Result<Vec<Digest>> {
        let sql = format!(
            "SELECT DISTINCT manifest FROM releases WHERE id IN (
                 SELECT \"release\" FROM ({SUCCESSES}) WHERE place <= ?1
                 UNION
                 SELECT \"release\" FROM deployments
                 WHERE state NOT IN ('done', 'failed', 'skipped') OR id IN (SELECT serving FROM apps))
             ORDER BY manifest"
        );
        self.store.read(move |db| db.all(&sql, [KEPT_RELEASES], |row| row::parsed(row, "manifest"))).await
    }
}

fn without_release(deployment: DeploymentId) -> StoreError {
    StoreError::Damaged(format!("deployment {deployment} serves without a release"))
}
