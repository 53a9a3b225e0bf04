//! One deployment at a time for each application, through its states: take the state's work, run it, turn the
//! result into an event, compute the next state, save it, go on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::deployment::{Event, State};
use model::{AppId, CompanyId, Deployment, DeploymentId, FailureCode, Phase, Timestamp};
use store::StoreError;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::platform::Platform;

/// Pause before the database is tried again, when it cannot be written (a full disk, most likely).
const SAVE_RETRY: Duration = Duration::from_secs(1);

/// Longest time that a deployment waits for a database that another process holds.
const BUSY_FOR: Duration = Duration::from_secs(600);

/// The drivers of all applications that had a deployment since the start.
#[derive(Default)]
pub struct Drivers {
    drivers: Mutex<HashMap<AppId, Driver>>,
    /// Those that were ended all at once.
    ending: Mutex<Vec<JoinHandle<()>>>,
}

struct Driver {
    wake: Arc<Notify>,
    running: Arc<Mutex<Option<(DeploymentId, CancellationToken)>>>,
    task: JoinHandle<()>,
}

impl Drivers {
    /// Makes sure that the application's queue is looked at.
    pub fn wake(&self, platform: &Platform, company: CompanyId, app: AppId) {
        let mut drivers = self.lock();
        // One that broke must not hold up the application for ever.
        drivers.retain(|_, driver| !driver.task.is_finished());
        let driver = drivers.entry(app).or_insert_with(|| {
            let wake = Arc::new(Notify::new());
            let running = Arc::new(Mutex::new(None));
            let task =
                tokio::spawn(drive(platform.clone(), company, app, Arc::clone(&wake), Arc::clone(&running)));
            Driver { wake, running, task }
        });
        driver.wake.notify_one();
    }

    /// Stops the work of a deployment that runs; `false` when it does not run.
    pub fn cancel(&self, app: AppId, deployment: DeploymentId) -> bool {
        let drivers = self.lock();
        let Some(driver) = drivers.get(&app).filter(|driver| !driver.task.is_finished()) else {
            return false;
        };
        let running = driver.running.lock().unwrap_or_else(PoisonError::into_inner);
        match &*running {
            Some((id, token)) if *id == deployment => {
                token.cancel();
                true
            }
            _ => false,
        }
    }

    /// Ends the driver of an application that is gone.
    pub fn end(&self, app: AppId) {
        if let Some(driver) = self.lock().remove(&app) {
            driver.task.abort();
        }
    }

    /// Ends all drivers where they stand; their states are saved, so the next start carries on.
    pub fn end_all(&self) {
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, driver) in self.lock().drain() {
            driver.task.abort();
            ending.push(driver.task);
        }
    }

    /// Waits until the drivers that were ended have let go of what they did, a build for instance.
    pub async fn ended(&self) {
        let ending = std::mem::take(&mut *self.ending.lock().unwrap_or_else(PoisonError::into_inner));
        for driver in ending {
            // Aborted, as was asked.
            let _ = driver.await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<AppId, Driver>> {
        self.drivers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Works off the application's queue, then waits to be woken.
async fn drive(
    platform: Platform,
    company: CompanyId,
    app: AppId,
    wake: Arc<Notify>,
    running: Arc<Mutex<Option<(DeploymentId, CancellationToken)>>>,
) {
    let set_running = |value| *running.lock().unwrap_or_else(PoisonError::into_inner) = value;
    loop {
        match platform.store().company(company).next_unfinished(app).await {
            Ok(Some(deployment)) => {
                let cancel = CancellationToken::new();
                set_running(Some((deployment.id, cancel.clone())));
                platform.carry_through(deployment, &cancel).await;
                set_running(None);
            }
            Ok(None) => wake.notified().await,
            Err(error) => {
                tracing::error!(%app, %error, "the queue of an application cannot be read");
                tokio::time::sleep(SAVE_RETRY).await;
            }
        }
    }
}

impl Platform {
    /// Carries a deployment to its end.
    async fn carry_through(&self, mut deployment: Deployment, cancel: &CancellationToken) {
        tracing::info!(app = %deployment.app, deployment = %deployment.id, state = deployment.state.name(), "deploying");
        let mut cancelled = false;
        while !deployment.state.is_final() {
            // The switch is one transaction: half of it cannot be cancelled, and all of it is over in a moment.
            let may_cancel = !cancelled && !matches!(deployment.state, State::Switching);
            let event = tokio::select! {
                biased;
                () = cancel.cancelled(), if may_cancel => {
                    cancelled = true;
                    Event::CancelRequested
                }
                event = self.step_with_patience(&deployment, cancel) => event,
            };
            self.advance(&mut deployment, event).await;
        }
        failpoint::reach("S18");
        self.conclude(&deployment).await;
    }

    /// The step, and again as long as another process, such as a backup, holds the database: that is no fault of the
    /// release. Steps are safe to repeat.
    async fn step_with_patience(&self, deployment: &Deployment, cancel: &CancellationToken) -> Event {
        let began = Instant::now();
        loop {
            let times_busy = self.store().times_busy();
            let event = self.step(deployment, cancel).await;
            let was_busy = self.store().times_busy() != times_busy;
            let Event::StepFailed(failure) = &event else { return event };
            // What a Dockerfile did wrong it does wrong again, and it takes long.
            let is_by_build = failure.during == Phase::Build && failure.code != FailureCode::InternalError;
            if is_by_build || !was_busy || began.elapsed() > BUSY_FOR {
                return event;
            }
            tracing::warn!(deployment = %deployment.id, "the database is held by another process; trying again");
            tokio::time::sleep(SAVE_RETRY).await;
        }
    }

    /// Applies an event and saves the new state. A refused event changes nothing, as the policy says.
    async fn advance(&self, deployment: &mut Deployment, event: Event) {
        if let Event::StepFailed(failure) = &event {
            self.note_failure(deployment, failure).await;
        }
        // A state that only goes forward has no failure: its step is tried again, in peace.
        let retried = matches!(event, Event::StepFailed(_));
        match deployment.state.clone().next(event) {
            Ok(next) => {
                deployment.state = next;
                self.save(deployment).await;
            }
            Err(refused) => {
                tracing::debug!(deployment = %deployment.id, state = deployment.state.name(), ?refused, "event refused");
                if retried {
                    tokio::time::sleep(SAVE_RETRY).await;
                }
            }
        }
    }

    /// Saves until it is saved: a state that is not written down must not be acted on.
    async fn save(&self, deployment: &mut Deployment) {
        let now = Timestamp::now();
        deployment.updated_at = now;
        deployment.started_at = deployment.started_at.or(Some(now));
        if deployment.state.is_final() {
            deployment.finished_at = deployment.finished_at.or(Some(now));
        }
        let company = self.store().company(deployment.company);
        loop {
            match company.save_deployment(deployment).await {
                Ok(()) => break,
                // Deleted with its application: there is nothing left to save.
                Err(StoreError::NotFound) => return,
                Err(error) => {
                    tracing::error!(deployment = %deployment.id, %error, "its state cannot be saved; trying again")
                }
            }
            tokio::time::sleep(SAVE_RETRY).await;
        }
        // What a step wrote beside the state (release, digest) is part of the record from here on.
        if let Ok(stored) = company.deployment(deployment.app, deployment.id).await {
            *deployment = stored;
        }
    }

    async fn conclude(&self, deployment: &Deployment) {
        let words = match &deployment.state {
            State::Failed { failure } => format!("Not deployed: {}", failure.message),
            State::Skipped => "Skipped: a newer deployment took its place".to_owned(),
            _ => "Deployed".to_owned(),
        };
        tracing::info!(app = %deployment.app, deployment = %deployment.id, state = deployment.state.name(), "{words}");
        self.note(deployment, &words).await;
        self.forget_progress(deployment.id);
        self.sweep_images();
    }
}
