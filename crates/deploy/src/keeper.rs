//! Keeps the container of the serving release running: a crash restarts it, with growing pauses, for ever.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::Status;
use model::{App, AppId, ContainerId, DeploymentId, Failure, Phase, Release, Timestamp};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::explain;
use crate::platform::Platform;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A container that ran this long starts again with the first pause.
const RUNS_WELL_AFTER: Duration = Duration::from_secs(600);

/// One keeper task for each application that serves.
#[derive(Default)]
pub struct Keepers {
    keepers: Mutex<HashMap<AppId, (DeploymentId, JoinHandle<()>)>>,
    conditions: Mutex<HashMap<AppId, Condition>>,
}

/// How the container of a serving release is, as its keeper sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub phase: Running,
    /// How often it was started again since this control plane looks after it.
    pub restarts: u32,
    /// How it ended last, in words: `code 3`, `killed: out of memory at 512 MB`, or why it did not come up.
    pub last_end: Option<String>,
    pub last_end_at: Option<Timestamp>,
}

/// What the keeper does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Running {
    /// It is being started or asked whether it is ready.
    Starting,
    Running,
    /// It ended, and is started again at this moment.
    BackingOff {
        until: Timestamp,
    },
}

impl Keepers {
    /// Keeps this deployment's container from now on, and no other of the application. When it returns, the
    /// keeper before has said its last word.
    pub async fn set(&self, platform: &Platform, app: &App, deployment: Option<DeploymentId>) {
        let before = {
            let mut keepers = self.lock();
            if deployment.is_some() && keepers.get(&app.id).map(|(kept, _)| *kept) == deployment {
                return;
            }
            keepers.remove(&app.id)
        };
        self.conditions().remove(&app.id);
        if let Some((_, task)) = before {
            task.abort();
            // An aborted task gives an error, which is what was asked for.
            let _ = task.await;
        }
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

    /// How the application's container is; `None` when none is looked after.
    pub fn condition(&self, app: AppId) -> Option<Condition> {
        self.conditions().get(&app).cloned()
    }

    fn note(&self, app: AppId, change: impl FnOnce(&mut Condition)) {
        let mut conditions = self.conditions();
        let new = Condition { phase: Running::Starting, restarts: 0, last_end: None, last_end_at: None };
        change(conditions.entry(app).or_insert(new));
    }

    fn conditions(&self) -> MutexGuard<'_, HashMap<AppId, Condition>> {
        self.conditions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AppId, (DeploymentId, JoinHandle<()>)>> {
        self.keepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches and restarts. Ends only by being aborted.
async fn keep(platform: Platform, app: App, deployment: DeploymentId) {
    let mut back_off = BackOff::new();
    loop {
        let started = Instant::now();
        platform.keepers().note(app.id, |condition| condition.phase = Running::Starting);
        let end = platform.run_to_its_end(&app, deployment).await;
        let pause = back_off.pause(started.elapsed());
        tracing::warn!(app = %app.name, %deployment, pause_ms = pause.as_millis() as u64, "its container ended: {end}; starting it again");
        platform.keepers().note(app.id, |condition| {
            let now = Timestamp::now();
            condition.phase = Running::BackingOff { until: now + pause };
            condition.restarts += 1;
            condition.last_end = Some(end);
            condition.last_end_at = Some(now);
        });
        // People get "starting" instead of an error while nobody is there.
        platform.close_until_known(&app.name, deployment).await;
        tokio::time::sleep(pause).await;
    }
}

impl Platform {
    /// Brings the container up and waits for its end. Gives the end in words.
    async fn run_to_its_end(&self, app: &App, deployment: DeploymentId) -> String {
        if let Err(failure) = self.bring_up(app, deployment).await {
            return failure.message;
        }
        self.keepers().note(app.id, |condition| condition.phase = Running::Running);
        match self.engine().wait(&ContainerId::of(deployment, 0)).await {
            Ok(exit) => {
                let limit =
                    self.serving_release(app, deployment).await.ok().map(|release| release.limits.memory_mb);
                explain::end_words(exit.code, exit.out_of_memory, limit)
            }
            Err(error) => format!("it cannot be watched: {error}"),
        }
    }

    /// Makes sure that the container runs, answers and is routed. One that is routed already is left alone.
    async fn bring_up(&self, app: &App, deployment: DeploymentId) -> Result<(), Failure> {
        let internal = |error: &dyn std::error::Error| {
            explain::internal(Phase::Start, "Bringing up the container", error)
        };
        let id = ContainerId::of(deployment, 0);
        let address = match self.engine().status(&id).await.map_err(|error| internal(&error))? {
            Status::Running { address } if self.routes().leads_to(&app.name, deployment, address).await => {
                return Ok(());
            }
            Status::Running { address } => Some(address),
            Status::Absent | Status::Created | Status::Exited(_) => None,
        };
        let release = self.serving_release(app, deployment).await.map_err(|error| internal(&error))?;
        // Its old address may be another container's in a moment.
        self.close_until_known(&app.name, deployment).await;
        match self.prove(deployment, &release, address).await {
            Ok(address) => {
                self.publish_until_known(&app.name, deployment, address).await;
                Ok(())
            }
            Err(failure) => {
                // What hangs must not be taken for what runs. Its log stays until the next one is made.
                if let Err(error) = self.engine().stop(&id, self.settings().stop_grace).await {
                    tracing::error!(container = %id, %error, "a container that does not answer was not stopped");
                    self.retire_container(deployment).await;
                }
                Err(failure)
            }
        }
    }

    /// Starts the container unless it runs, and waits until it is healthy.
    async fn prove(
        &self,
        deployment: DeploymentId,
        release: &Release,
        running: Option<SocketAddr>,
    ) -> Result<SocketAddr, Failure> {
        let address = match running {
            Some(address) => address,
            None => {
                self.make_container(deployment, release).await?;
                self.start_container(deployment, release).await?
            }
        };
        self.until_healthy(deployment, release, address).await?;
        Ok(address)
    }

    async fn serving_release(
        &self,
        app: &App,
        deployment: DeploymentId,
    ) -> Result<Release, store::StoreError> {
        let company = self.store().company(app.company);
        let deployment = company.deployment(app.id, deployment).await?;
        company.release(deployment.release.ok_or(store::StoreError::NotFound)?).await
    }
}

/// 1, 2, 4 ... 60 s, and again from the start after a good run.
struct BackOff {
    next: Duration,
}

impl BackOff {
    fn new() -> Self {
        Self { next: FIRST_PAUSE }
    }

    fn pause(&mut self, ran: Duration) -> Duration {
        if ran >= RUNS_WELL_AFTER {
            self.next = FIRST_PAUSE;
        }
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST_PAUSE);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_start_over_after_a_good_run() {
        let mut back_off = BackOff::new();
        let pauses: Vec<_> = (0..8).map(|_| back_off.pause(Duration::ZERO).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(back_off.pause(RUNS_WELL_AFTER), FIRST_PAUSE);
    }
}
