//! Keeps the containers of serving releases running: one keeper for each application, which looks after every
//! instance. What it does for one of them is in `upkeep`.

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use model::{App, AppId, ContainerId, DeploymentId, Phase, Release};
use tokio::task::JoinHandle;

use crate::condition::Condition;
use crate::platform::Platform;
use crate::steps::instances;

/// Pause before the database is asked again for the release to keep.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// One keeper task for each application that serves.
#[derive(Default)]
pub struct Keepers {
    keepers: Mutex<HashMap<AppId, (DeploymentId, JoinHandle<()>)>>,
    conditions: Mutex<HashMap<AppId, BTreeMap<u16, Condition>>>,
}

impl Keepers {
    /// Keeps this deployment's containers from now on, and no others of the application. When it returns, the
    /// keeper before has said its last word.
    pub async fn set(&self, platform: &Platform, app: &App, deployment: Option<DeploymentId>) {
        let before = {
            let mut keepers = self.lock();
            let kept = keepers.get(&app.id).filter(|(_, task)| !task.is_finished()).map(|(kept, _)| *kept);
            if deployment.is_some() && kept == deployment {
                return;
            }
            keepers.remove(&app.id)
        };
        if let Some((_, task)) = before {
            task.abort();
            // An aborted task gives an error, which is what was asked for.
            let _ = task.await;
        }
        self.conditions().remove(&app.id);
        if let Some(deployment) = deployment {
            let task = tokio::spawn(keep(platform.clone(), app.clone(), deployment));
            self.lock().insert(app.id, (deployment, task));
        }
    }

    /// Ends all keepers; the containers go on.
    pub fn end_all(&self) {
        for (_, (_, task)) in self.lock().drain() {
            task.abort();
        }
    }

    /// How the application's containers are, first instance first; none when none is looked after.
    pub fn conditions_of(&self, app: AppId) -> Vec<Condition> {
        self.conditions().get(&app).map(|known| known.values().cloned().collect()).unwrap_or_default()
    }

    /// Writes down how a container is.
    pub fn note(&self, app: AppId, id: &ContainerId, change: impl FnOnce(&mut Condition)) {
        let mut conditions = self.conditions();
        change(conditions.entry(app).or_default().entry(id.instance()).or_insert(Condition::NEW));
    }

    fn conditions(&self) -> MutexGuard<'_, HashMap<AppId, BTreeMap<u16, Condition>>> {
        self.conditions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AppId, (DeploymentId, JoinHandle<()>)>> {
        self.keepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks after every instance. Ends only by being aborted: a fault of ours must not leave an application alone.
async fn keep(platform: Platform, app: App, deployment: DeploymentId) {
    loop {
        let keeping = async {
            let release = release_to_keep(&platform, &app, deployment).await;
            join_all(instances(deployment, &release).map(|id| platform.look_after(&app, id, &release))).await;
        };
        if AssertUnwindSafe(keeping).catch_unwind().await.is_err() {
            tracing::error!(app = %app.name, %deployment, "the keeper of an application broke; it begins again");
        }
        tokio::time::sleep(READ_AGAIN).await;
    }
}

/// Asks until it is told: a database that cannot be read for a while leaves what runs alone.
async fn release_to_keep(platform: &Platform, app: &App, deployment: DeploymentId) -> Release {
    let company = platform.store().company(app.company);
    loop {
        let found = match company.deployment(app.id, deployment).await {
            Ok(deployment) => {
                platform.release(&deployment, Phase::Start).await.map_err(|failure| failure.message)
            }
            Err(error) => Err(error.to_string()),
        };
        match found {
            Ok(release) => return release,
            Err(error) => {
                tracing::error!(app = %app.name, %deployment, error, "the release that serves cannot be read; trying again");
            }
        }
        tokio::time::sleep(READ_AGAIN).await;
    }
}
