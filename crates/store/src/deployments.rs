//! Deployments: the queue of each application, and the switch.

use model::deployment::{Event, State};
use model::git::GitOrder;
use model::{AppId, AppStatus, CompanyId, CredentialId, Deployment, DeploymentId, FailureCode, Timestamp};
use rusqlite::{Connection, Row, params};

use crate::query::{List, Query};
use crate::{CompanyStore, Listed, Page, RequestKey, Result, StoreError, prune, pushes, request_keys, row};

impl CompanyStore {
    /// Puts a deployment into the queue of its application, waiting, and gives it. One that waits there already is
    /// skipped: the newest wins.
    ///
    /// With a key it happens once: when a request of this key queued one before, that one is given instead and
    /// nothing changes; [`StoreError::RequestKeyReused`] when that was another request. A push happens once as
    /// well, however often the Git server tells of it: the deployment that it started is given. One that did not come to
    /// its end is made anew.
    pub async fn enqueue(&self, deployment: &Deployment, key: Option<&RequestKey>) -> Result<Deployment> {
        self.check_owner(deployment.company)?;
        let (deployment, key, app) = (deployment.clone(), key.cloned(), deployment.app);
        let queued = self
            .store
            .write(move |db| {
                let company = deployment.company;
                if let Some(key) = &key
                    && let Some(earlier) = request_keys::find(db, company, key)?
                {
                    return Ok(earlier);
                }
                if let Some(earlier) = pushes::told_before(db, &deployment)? {
                    return Ok(earlier);
                }
                skip_waiting(db, &deployment)?;
                insert(db, &deployment)?;
                set_app_status(db, deployment.app, AppStatus::DeploymentInProgress)?;
                if let Some(key) = &key {
                    request_keys::note(db, company, key, deployment.id)?;
                }
                find(db, deployment.id, company)
            })
            .await?;
        prune::deployments(&self.store, app).await;
        Ok(queued)
    }

    /// One deployment of an application.
    pub async fn deployment(&self, app: AppId, id: DeploymentId) -> Result<Deployment> {
        let (id, app, company) = (id.to_string(), app.to_string(), self.id());
        let sql = "SELECT * FROM deployments WHERE id = ?1 AND app = ?2 AND company = ?3";
        self.store.read(move |db| db.one(sql, [id, app, company], deployment)).await
    }

    /// The deployments of an application, newest first.
    pub async fn deployments(&self, app: AppId, page: Page) -> Result<Listed<Deployment>> {
        const DEPLOYMENTS: List =
            List { columns: "*", from: "deployments WHERE app = ?1 AND company = ?2", order: "seq DESC" };
        let (app, company) = (app.to_string(), self.id());
        self.store.read(move |db| db.part(&DEPLOYMENTS, &[&app, &company], page, deployment)).await
    }

    /// Saves state and moments of a deployment, and what its state means for the application. Digest and release
    /// stay what [`CompanyStore::resolved`] wrote.
    ///
    /// What is over stays over, and what has switched only goes on to its end: saving another state over it changes
    /// nothing, so a driver that began a
    /// deployment while it was skipped finds that out when it reads it again. Skipping one that runs is
    /// [`StoreError::DeploymentInProgress`].
    pub async fn save_deployment(&self, deployment: &Deployment) -> Result<()> {
        self.check_owner(deployment.company)?;
        let deployment = deployment.clone();
        self.store.write_on_reserve(move |db| save(db, &deployment)).await
    }

    /// Writes down which commit a deployment builds, and what is said of its image: from then on nothing else is built
    /// for it. Called again it replaces what an interrupted attempt wrote.
    pub async fn checked_out(&self, id: DeploymentId, order: &GitOrder, reference: &str) -> Result<()> {
        let (id, company, reference) = (id.to_string(), self.id(), reference.to_owned());
        let order = row::to_json(order)?;
        let sql = "UPDATE deployments SET git = ?3, reference = ?4
                   WHERE id = ?1 AND company = ?2 AND git IS NOT NULL";
        self.store.write(move |db| db.change_one(sql, [id, company, order, reference])).await
    }

    /// Notes which credential the registry is about to be asked with.
    pub async fn deployment_uses(&self, id: DeploymentId, credential: Option<CredentialId>) -> Result<()> {
        let (id, company) = (id.to_string(), self.id());
        let credential = credential.map(|credential| credential.to_string());
        let sql = "UPDATE deployments SET credential = ?3 WHERE id = ?1 AND company = ?2";
        self.store.write(move |db| db.change_one(sql, params![id, company, credential])).await
    }

    /// Makes a deployment the one that serves, and its state [`State::Draining`], together; gives the one that
    /// served before. Called again it gives the same answer and changes nothing.
    pub async fn switch(&self, id: DeploymentId) -> Result<Option<DeploymentId>> {
        let company = self.company;
        self.store.write_on_reserve(move |db| switch(db, id, company)).await
    }

    /// What the driver of an application has to do: the deployment that runs, else the one that waits.
    pub async fn next_unfinished(&self, app: AppId) -> Result<Option<Deployment>> {
        let (app, company) = (app.to_string(), self.id());
        let sql = "SELECT * FROM deployments
                   WHERE app = ?1 AND company = ?2 AND state NOT IN ('done', 'failed', 'skipped')
                   ORDER BY state = 'waiting', seq LIMIT 1";
        self.store.read(move |db| db.maybe(sql, [app, company], deployment)).await
    }

    /// Every deployment of an application that is not over, newest first.
    pub async fn unfinished(&self, app: AppId) -> Result<Vec<Deployment>> {
        let (app, company) = (app.to_string(), self.id());
        let sql = "SELECT * FROM deployments
                   WHERE app = ?1 AND company = ?2 AND state NOT IN ('done', 'failed', 'skipped') ORDER BY seq DESC";
        self.store.read(move |db| db.all(sql, [app, company], deployment)).await
    }

    /// The newest success of an application, or the newest one that is older than `before` and of another release.
    pub async fn last_successful(
        &self,
        app: AppId,
        before: Option<DeploymentId>,
    ) -> Result<Option<Deployment>> {
        let (app, company, before) = (app.to_string(), self.id(), before.map(|id| id.to_string()));
        let sql = "SELECT * FROM deployments
                   WHERE app = ?1 AND company = ?2 AND state = 'done'
                     AND (?3 IS NULL OR (seq < (SELECT seq FROM deployments WHERE id = ?3)
                                         AND \"release\" IS NOT (SELECT \"release\" FROM deployments WHERE id = ?3)))
                   ORDER BY seq DESC LIMIT 1";
        self.store.read(move |db| db.maybe(sql, params![app, company, before], deployment)).await
    }
}

fn skip_waiting(db: &Connection, newer: &Deployment) -> Result<()> {
    let sql = "SELECT * FROM deployments WHERE app = ?1 AND company = ?2 AND state = 'waiting'";
    for waiting in db.all(sql, [newer.app.to_string(), newer.company.to_string()], deployment)? {
        if let Ok(state) = waiting.state.clone().next(Event::Superseded) {
            let now = Some(newer.created_at);
            write_state(
                db,
                &Deployment { state, finished_at: now, updated_at: newer.created_at, ..waiting },
            )?;
        }
    }
    Ok(())
}

fn insert(db: &Connection, deployment: &Deployment) -> Result<()> {
    db.change_one(
        "INSERT INTO deployments (id, app, company, \"trigger\", reference, digest, \"release\", credential, git,
                                  image_of, state, state_details, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        params![
            deployment.id.to_string(),
            deployment.app.to_string(),
            deployment.company.to_string(),
            deployment.trigger.as_str(),
            deployment.reference,
            deployment.digest.as_ref().map(|digest| digest.as_str()),
            deployment.release.map(|release| release.to_string()),
            deployment.credential.map(|credential| credential.to_string()),
            deployment.git.as_ref().map(row::to_json).transpose()?,
            deployment.image_of.map(|release| release.to_string()),
            State::Waiting.name(),
            row::to_json(&State::Waiting)?,
            row::nanoseconds(deployment.created_at),
            row::nanoseconds(deployment.updated_at),
        ],
    )
}

fn save(db: &Connection, deployment: &Deployment) -> Result<()> {
    let stored = find(db, deployment.id, deployment.company)?;
    // What serves already can only end well: a failure that comes late must not undo the switch.
    let switched = matches!(stored.state, State::Draining { .. });
    if stored.state.is_final()
        || (switched && !matches!(deployment.state, State::Draining { .. } | State::Done))
    {
        return Ok(());
    }
    if deployment.state == State::Skipped && stored.state != State::Waiting {
        return Err(StoreError::DeploymentInProgress);
    }
    write_state(db, deployment)?;
    match status_after(db, deployment)? {
        Some(status) => set_app_status(db, stored.app, status),
        None => Ok(()),
    }
}

/// What a deployment's new state means for its application; `None`: nothing.
fn status_after(db: &Connection, deployment: &Deployment) -> Result<Option<AppStatus>> {
    Ok(match &deployment.state {
        State::Done => Some(AppStatus::DeploymentSuccess),
        State::Failed { failure } if failure.code == FailureCode::Cancelled => {
            Some(AppStatus::DeploymentCancelled)
        }
        State::Failed { .. } => Some(AppStatus::DeploymentFailed),
        // Skipped in favour of a newer one, or cancelled in the queue with nothing else to do.
        State::Skipped => {
            let sql = "SELECT EXISTS (SELECT 1 FROM deployments
                                      WHERE app = ?1 AND state NOT IN ('done', 'failed', 'skipped'))";
            let goes_on: bool = db.one(sql, [deployment.app.to_string()], |row| Ok(row.get(0)?))?;
            (!goes_on).then_some(AppStatus::DeploymentCancelled)
        }
        _ => Some(AppStatus::DeploymentInProgress),
    })
}

fn switch(db: &Connection, id: DeploymentId, company: CompanyId) -> Result<Option<DeploymentId>> {
    let deployment = find(db, id, company)?;
    if let State::Draining { old } = deployment.state {
        return Ok(old);
    }
    let app = deployment.app.to_string();
    let old =
        db.one("SELECT serving FROM apps WHERE id = ?1", [&app], |row| row::parsed_if_any(row, "serving"))?;
    let state =
        deployment.state.clone().next(Event::Switched { old }).map_err(|_| StoreError::NotSwitching)?;
    let now = Timestamp::now();
    write_state(db, &Deployment { state, updated_at: now, ..deployment })?;
    let sql = "UPDATE apps SET serving = ?2, is_suspended = 0, updated_at = ?3 WHERE id = ?1";
    db.change_one(sql, params![app, id.to_string(), row::nanoseconds(now)])?;
    Ok(old)
}

/// A deployment of a company, within a change.
pub fn find(db: &Connection, id: DeploymentId, company: CompanyId) -> Result<Deployment> {
    let sql = "SELECT * FROM deployments WHERE id = ?1 AND company = ?2";
    db.one(sql, [id.to_string(), company.to_string()], deployment)
}

fn write_state(db: &Connection, deployment: &Deployment) -> Result<()> {
    db.change_one(
        "UPDATE deployments SET state = ?2, state_details = ?3, started_at = ?4, finished_at = ?5, updated_at = ?6
         WHERE id = ?1",
        params![
            deployment.id.to_string(),
            deployment.state.name(),
            row::to_json(&deployment.state)?,
            deployment.started_at.map(row::nanoseconds),
            deployment.finished_at.map(row::nanoseconds),
            row::nanoseconds(deployment.updated_at),
        ],
    )
}

fn set_app_status(db: &Connection, app: AppId, status: AppStatus) -> Result<()> {
    db.change_one("UPDATE apps SET status = ?2 WHERE id = ?1", [&app.to_string(), status.as_str()])
}

/// A deployment from all columns of its table.
pub fn deployment(row: &Row<'_>) -> Result<Deployment> {
    Ok(Deployment {
        id: row::parsed(row, "id")?,
        app: row::parsed(row, "app")?,
        company: row::parsed(row, "company")?,
        trigger: row::word(row.get("trigger")?, "trigger")?,
        reference: row.get("reference")?,
        git: row::json_if_any(row, "git")?,
        image_of: row::parsed_if_any(row, "image_of")?,
        digest: row::parsed_if_any(row, "digest")?,
        credential: row::parsed_if_any(row, "credential")?,
        release: row::parsed_if_any(row, "release")?,
        state: row::json(row, "state_details")?,
        created_at: row::at(row, "created_at")?,
        started_at: row::at_if_any(row, "started_at")?,
        finished_at: row::at_if_any(row, "finished_at")?,
        updated_at: row::at(row, "updated_at")?,
    })
}
