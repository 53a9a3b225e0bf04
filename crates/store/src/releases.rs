//! Releases: written once, never changed. Their environment is sealed.

use model::{CompanyId, DeploymentId, Release, ReleaseId};
use rusqlite::{Connection, Row, params};
use zeroize::Zeroizing;

use crate::query::Query;
use crate::seal::{Place, Sealed, Vault};
use crate::{CompanyStore, Result, StoreError, deployments, row};

impl CompanyStore {
    /// Writes down what a deployment's reference resolved to: the release, and digest and release of the
    /// deployment, together. Called again it replaces what an interrupted attempt wrote.
    pub async fn resolved(&self, id: DeploymentId, release: &Release) -> Result<()> {
        self.check_owner(release.company)?;
        let (release, vault) = (release.clone(), self.store.vault());
        self.store.write(move |db| attach(db, id, &release, &vault)).await
    }

    /// One release.
    pub async fn release(&self, id: ReleaseId) -> Result<Release> {
        let (id, company, vault) = (id.to_string(), self.id(), self.store.vault());
        let sql = "SELECT * FROM releases WHERE id = ?1 AND company = ?2";
        self.store.read(move |db| db.one(sql, [id, company], |row| release(row, &vault))).await
    }
}

fn attach(db: &Connection, id: DeploymentId, release: &Release, vault: &Vault) -> Result<()> {
    let deployment = deployments::find(db, id, release.company)?;
    if deployment.app != release.app {
        return Err(StoreError::NotFound);
    }
    if deployment.release == Some(release.id) {
        return Ok(());
    }
    insert(db, release, vault)?;
    db.change_one(
        "UPDATE deployments SET digest = ?2, \"release\" = ?3 WHERE id = ?1",
        [id.to_string(), release.digest.to_string(), release.id.to_string()],
    )?;
    if let Some(earlier) = deployment.release {
        let sql = "DELETE FROM releases
                   WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM deployments WHERE \"release\" = ?1)";
        db.change(sql, [earlier.to_string()])?;
    }
    Ok(())
}

fn insert(db: &Connection, release: &Release, vault: &Vault) -> Result<()> {
    let id = release.id.to_string();
    let env = Zeroizing::new(row::to_json(&release.env)?);
    let env = vault.seal(&place(&id, release.company), env.as_bytes())?;
    db.change_one(
        "INSERT INTO releases (id, app, company, reference, digest, manifest, credential, \"commit\", config, env, command,
                               port, instances, probe, liveness, limits, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        params![
            id,
            release.app.to_string(),
            release.company.to_string(),
            release.reference,
            release.digest.as_str(),
            release.manifest.as_str(),
            release.credential.map(|credential| credential.to_string()),
            release.commit.as_ref().map(row::to_json).transpose()?,
            row::to_json(&release.config)?,
            env,
            row::to_json(&release.command)?,
            release.port,
            release.instances,
            row::to_json(&release.probe)?,
            release.liveness.as_ref().map(row::to_json).transpose()?,
            row::to_json(&release.limits)?,
            row::nanoseconds(release.created_at),
        ],
    )
}

/// A release from all columns of its table.
pub fn release(row: &Row<'_>, vault: &Vault) -> Result<Release> {
    let (id, company): (ReleaseId, _) = (row::parsed(row, "id")?, row::parsed(row, "company")?);
    let sealed: Sealed = row.get("env")?;
    let name = id.to_string();
    let env = vault.open(&place(&name, company), &sealed)?;
    Ok(Release {
        id,
        app: row::parsed(row, "app")?,
        company,
        reference: row.get("reference")?,
        digest: row::parsed(row, "digest")?,
        manifest: row::parsed(row, "manifest")?,
        credential: row::parsed_if_any(row, "credential")?,
        commit: row::json_if_any(row, "commit")?,
        config: row::json(row, "config")?,
        // The parser's words could quote the value, so they are left out.
        env: serde_json::from_slice(&env)
            .map_err(|_| StoreError::Damaged(format!("env of release {name} is no list of variables")))?,
        command: row::json(row, "command")?,
        port: row.get("port")?,
        instances: row.get("instances")?,
        probe: row::json(row, "probe")?,
        liveness: row::json_if_any(row, "liveness")?,
        limits: row::json(row, "limits")?,
        created_at: row::at(row, "created_at")?,
    })
}

fn place(id: &str, company: CompanyId) -> Place<'_> {
    Place { table: "releases", column: "env", row: id, company: Some(company) }
}
