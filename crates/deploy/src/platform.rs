//! What the rest of Darsena asks of deployments.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use build::Builder;
use build::git::Git;
use engine::{Engine, LogQuery};
use image::{ImageStore, LayerProgress, Progress, Resolved};
use model::deployment::{Event, Refused, State};
use model::image::Reference;
use model::log::LogLine;
use model::{App, AppId, AppName, CompanyId, CredentialId, Deployment, DeploymentId, Timestamp};
use store::{Store, StoreError};
use tokio::sync::{OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::builds::Builds;
use crate::condition::Condition;
use crate::container;
use crate::driver::Drivers;
use crate::error::DeployError;
use crate::keeper::Keepers;
use crate::ledger::BuildStep;
use crate::routes::Routes;
use crate::watch::until_known;

/// The deployment side of an installation. Cheap to clone.
#[derive(Clone)]
pub struct Platform {
    inner: Arc<Inner>,
}

/// What a platform is made of.
pub struct Parts {
    pub store: Store,
    pub images: ImageStore,
    pub engine: Arc<dyn Engine>,
    pub git: Git,
    pub builder: Arc<dyn Builder>,
    /// Folder for the files of repositories that are built.
    pub checkouts: PathBuf,
    pub ingress: ingress::Client,
    pub settings: Settings,
}

/// Settings of deployments.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Applications are reached at `NAME.DOMAIN`.
    pub domain: String,
    /// Port that people reach the ingress at.
    pub http_port: u16,
    /// How long old requests may take after a switch.
    pub drain_timeout: Duration,
    /// Time between the stop signal and the kill.
    pub stop_grace: Duration,
}

impl Settings {
    /// The usual times.
    pub fn new(domain: String, http: SocketAddr) -> Self {
        Self {
            domain,
            http_port: http.port(),
            drain_timeout: Duration::from_secs(30),
            stop_grace: Duration::from_secs(10),
        }
    }
}

struct Inner {
    store: Store,
    images: ImageStore,
    engine: Arc<dyn Engine>,
    git: Git,
    builder: Arc<dyn Builder>,
    builds: Builds,
    ingress: Arc<ingress::Client>,
    settings: Settings,
    routes: Routes,
    drivers: Drivers,
    keepers: Keepers,
    turns: Mutex<HashMap<AppId, Arc<tokio::sync::Mutex<()>>>>,
    progress: Mutex<HashMap<DeploymentId, Progress>>,
    /// Read while images are resolved and pulled, written by the sweep.
    images_lock: Arc<RwLock<()>>,
    watches: Mutex<Vec<JoinHandle<()>>>,
    /// Cancelled when the watches are to end.
    ending: CancellationToken,
}

/// A line and the deployment whose container printed it.
#[derive(Clone, Debug)]
pub struct RuntimeLine {
    pub deployment: DeploymentId,
    /// Number of the instance, from 1.
    pub instance: u16,
    pub line: LogLine,
}

impl Platform {
    /// Puts the parts together. Nothing runs before [`Platform::start`].
    pub fn new(parts: Parts) -> Self {
        let Parts { store, images, engine, git, builder, checkouts, ingress, settings } = parts;
        let ingress = Arc::new(ingress);
        let routes = Routes::new(Arc::clone(&ingress), settings.domain.clone());
        let inner = Inner {
            store,
            images,
            engine,
            git,
            builder,
            builds: Builds::new(checkouts),
            ingress,
            settings,
            routes,
            drivers: Drivers::default(),
            keepers: Keepers::default(),
            turns: Mutex::default(),
            progress: Mutex::default(),
            images_lock: Arc::default(),
            watches: Mutex::default(),
            ending: CancellationToken::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Picks up what an earlier process left, and begins to watch ingress and network.
    pub async fn start(&self) -> Result<(), DeployError> {
        self.recover().await.map_err(DeployError::Store)?;
        let watches =
            [tokio::spawn(self.clone().watch_ingress()), tokio::spawn(self.clone().watch_network())];
        self.inner.watches.lock().unwrap_or_else(PoisonError::into_inner).extend(watches);
        Ok(())
    }

    /// Lets go of everything and leaves it running: applications and ingress go on.
    pub fn let_go(&self) {
        self.inner.ending.cancel();
        self.inner.drivers.end_all();
        self.inner.keepers.end_all();
    }

    /// Stops every container and the ingress and removes what they left on the machine. The database stays:
    /// the next start brings the applications back.
    pub async fn down(&self) -> Result<(), DeployError> {
        self.let_go();
        self.watches_ended().await;
        self.inner.drivers.ended().await;
        let stopped = match self.inner.ingress.shutdown().await {
            Err(ingress::IngressError::NotRunning { .. }) => Ok(()),
            other => other,
        };
        self.inner.engine.down().await?;
        Ok(stopped?)
    }

    /// Waits until the watches are done with what they were about. Cut short, they would leave an ingress that is
    /// starting, or a program that puts the firewall back, to come after what takes it away.
    async fn watches_ended(&self) {
        let watches: Vec<_> =
            self.inner.watches.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect();
        for watch in watches {
            if let Err(error) = watch.await {
                tracing::error!(%error, "a watch ended badly");
            }
        }
    }

    /// Whether anything is to go on when the control plane ends.
    pub async fn has_containers(&self) -> bool {
        !matches!(self.inner.engine.list().await, Ok(containers) if containers.is_empty())
    }

    /// Cancels a deployment that waits or runs; the work of one that runs stops at once.
    pub async fn cancel(&self, company: CompanyId, app: AppId, id: DeploymentId) -> Result<(), DeployError> {
        let mut deployment = self.deployment(company, app, id).await?;
        let _turn;
        if deployment.state == State::Switching {
            // It is over in a moment, and only then it is known whether there is anything to cancel.
            _turn = self.turn(app).await;
            deployment = self.deployment(company, app, id).await?;
        }
        match deployment.state.clone().next(Event::CancelRequested) {
            Err(Refused::AlreadySwitched) => Err(DeployError::AlreadyServing),
            Err(Refused::Finished | Refused::Late) => Err(DeployError::Finished),
            Ok(_) if self.inner.drivers.cancel(app, id) => Ok(()),
            Ok(next) => {
                let now = Timestamp::now();
                deployment.state = next;
                deployment.updated_at = now;
                deployment.finished_at = deployment.state.is_final().then_some(now);
                self.inner.store.company(company).save_deployment(&deployment).await.map_err(from_store)
            }
        }
    }

    /// Stops the application's container and keeps everything else; a deployment that has not switched yet is
    /// cancelled. Doing it twice is fine.
    pub async fn suspend(&self, company: CompanyId, app: AppId) -> Result<(), DeployError> {
        // The one that waits before the one that runs, or it would be begun in between.
        for under_way in self.inner.store.company(company).unfinished(app).await.map_err(from_store)? {
            match self.cancel(company, app, under_way.id).await {
                Ok(()) | Err(DeployError::AlreadyServing | DeployError::Finished) => {}
                Err(error) => return Err(error),
            }
        }
        let _turn = self.turn(app).await;
        let record = self.set_suspended(company, app, true).await?;
        self.keep(&record, None).await;
        let exposure = self.exposure(&record).await.map_err(from_store)?;
        // Before its address is another application's.
        until_known(&record.name, || self.inner.routes.suspend(&record.name, exposure)).await;
        if let Some(serving) = record.serving {
            self.retire(serving).await;
        }
        Ok(())
    }

    /// Starts a suspended application again, in the background. Doing it twice is fine.
    pub async fn activate(&self, company: CompanyId, app: AppId) -> Result<(), DeployError> {
        let _turn = self.turn(app).await;
        if !self.app(company, app).await?.is_suspended {
            return Ok(());
        }
        let record = self.set_suspended(company, app, false).await?;
        match record.serving {
            Some(serving) => {
                let exposure = self.exposure(&record).await.map_err(from_store)?;
                self.route_until_known(&record.name, serving, exposure, &[]).await;
                self.keep(&record, Some(serving)).await;
            }
            None => self.forget_route(&record).await,
        }
        Ok(())
    }

    /// Removes the application with everything it has; refused while a deployment runs.
    pub async fn delete_app(&self, company: CompanyId, app: AppId) -> Result<(), DeployError> {
        let turn = self.turn(app).await;
        let record = self.app(company, app).await?;
        self.inner.store.company(company).delete_app(app).await.map_err(from_store)?;
        self.inner.drivers.end(app);
        self.keep(&record, None).await;
        self.forget_route(&record).await;
        if let Some(serving) = record.serving {
            self.retire(serving).await;
        }
        drop(turn);
        self.turn_table().remove(&app);
        self.forget_builds(app);
        self.sweep_images();
        Ok(())
    }

    /// Resolves a reference with the credential that was chosen for it, and reads manifest and configuration, no
    /// layers.
    pub async fn inspect(
        &self,
        company: CompanyId,
        reference: &Reference,
        credential: Option<CredentialId>,
    ) -> Result<Resolved, DeployError> {
        let _sweep = self.images_in_use().await;
        Ok(self.resolve_image(company, credential, reference).await?)
    }

    /// Shows an application to the world as its settings say now.
    pub async fn exposure_changed(&self, company: CompanyId, app: AppId) -> Result<(), DeployError> {
        let _turn = self.turn(app).await;
        let record = self.app(company, app).await?;
        let exposure = self.exposure(&record).await.map_err(from_store)?;
        Ok(self.inner.routes.expose(&record.name, exposure).await?)
    }

    /// What the containers of the release that serves printed, oldest first.
    pub async fn runtime_logs(
        &self,
        company: CompanyId,
        app: AppId,
        query: &LogQuery,
    ) -> Result<Vec<RuntimeLine>, DeployError> {
        let Some(deployment) = self.app(company, app).await?.serving else { return Ok(Vec::new()) };
        let mut lines = Vec::new();
        for id in self.containers_of(deployment).await {
            let instance = container::people_count(&id);
            let printed = self.inner.engine.logs(&id, query).await?;
            lines.extend(printed.into_iter().map(|line| RuntimeLine { deployment, instance, line }));
        }
        // Stable, so that lines of one moment stay in their container's order.
        lines.sort_by_key(|line| line.line.at);
        lines.drain(..lines.len().saturating_sub(query.limit));
        Ok(lines)
    }

    /// The layers of a deployment that pulls now, bottom layer first.
    pub fn progress(&self, deployment: DeploymentId) -> Option<Vec<LayerProgress>> {
        self.progress_table().get(&deployment).map(Progress::snapshot)
    }

    /// The steps of a deployment that builds now, or has built.
    pub fn build_steps(&self, deployment: DeploymentId) -> Vec<BuildStep> {
        self.inner.builds.steps(deployment)
    }

    /// How each container of the release that serves is, first instance first; none when none is looked after.
    pub fn conditions(&self, app: AppId) -> Vec<Condition> {
        self.inner.keepers.conditions_of(app)
    }

    /// Where an application is reached.
    pub fn url(&self, app: &AppName) -> String {
        let Settings { domain, http_port, .. } = &self.inner.settings;
        match http_port {
            80 => format!("http://{app}.{domain}/"),
            port => format!("http://{app}.{domain}:{port}/"),
        }
    }

    /// The application is gone or has nothing to show.
    async fn forget_route(&self, app: &App) {
        until_known(&app.name, || self.inner.routes.remove(&app.name)).await;
    }

    async fn set_suspended(
        &self,
        company: CompanyId,
        app: AppId,
        suspended: bool,
    ) -> Result<App, DeployError> {
        self.inner.store.company(company).set_suspended(app, suspended).await.map_err(from_store)?;
        self.app(company, app).await
    }

    pub(crate) async fn app(&self, company: CompanyId, app: AppId) -> Result<App, DeployError> {
        self.inner.store.company(company).app(app).await.map_err(from_store)
    }

    pub(crate) async fn deployment(
        &self,
        company: CompanyId,
        app: AppId,
        id: DeploymentId,
    ) -> Result<Deployment, DeployError> {
        self.inner.store.company(company).deployment(app, id).await.map_err(from_store)
    }
}

/// Access for the parts of this crate.
impl Platform {
    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn images(&self) -> &ImageStore {
        &self.inner.images
    }

    pub(crate) fn engine(&self) -> &dyn Engine {
        &*self.inner.engine
    }

    pub(crate) fn git(&self) -> &Git {
        &self.inner.git
    }

    pub(crate) fn builder(&self) -> &dyn Builder {
        &*self.inner.builder
    }

    pub(crate) fn builds(&self) -> &Builds {
        &self.inner.builds
    }

    pub(crate) fn ingress(&self) -> &ingress::Client {
        &self.inner.ingress
    }

    /// Cancelled once everything is let go of.
    pub(crate) fn ending(&self) -> &CancellationToken {
        &self.inner.ending
    }

    pub(crate) fn routes(&self) -> &Routes {
        &self.inner.routes
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    pub(crate) fn keepers(&self) -> &Keepers {
        &self.inner.keepers
    }

    pub(crate) fn wake_driver(&self, company: CompanyId, app: AppId) {
        self.inner.drivers.wake(self, company, app);
    }

    pub(crate) async fn keep(&self, app: &App, deployment: Option<DeploymentId>) {
        self.inner.keepers.set(self, app, deployment).await;
    }

    /// One at a time for each application: switching, suspending, activating, removing.
    pub(crate) async fn turn(&self, app: AppId) -> OwnedMutexGuard<()> {
        let turn = Arc::clone(self.turn_table().entry(app).or_default());
        turn.lock_owned().await
    }

    fn turn_table(&self) -> MutexGuard<'_, HashMap<AppId, Arc<tokio::sync::Mutex<()>>>> {
        self.inner.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held while images are read or fetched: the sweep stays away.
    pub(crate) async fn images_in_use(&self) -> OwnedRwLockReadGuard<()> {
        Arc::clone(&self.inner.images_lock).read_owned().await
    }

    /// The sweep's turn, when nobody reads or fetches images.
    pub(crate) fn images_alone(&self) -> Option<OwnedRwLockWriteGuard<()>> {
        Arc::clone(&self.inner.images_lock).try_write_owned().ok()
    }

    pub(crate) fn progress_of(&self, deployment: DeploymentId) -> Progress {
        self.progress_table().entry(deployment).or_default().clone()
    }

    pub(crate) fn forget_progress(&self, deployment: DeploymentId) {
        self.progress_table().remove(&deployment);
        self.inner.builds.close_ledger(deployment);
    }

    fn progress_table(&self) -> MutexGuard<'_, HashMap<DeploymentId, Progress>> {
        self.inner.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// 128 random bits: who guesses it reaches a container a moment early, and nothing else.
    pub(crate) fn candidate_token(&self) -> String {
        uuid::Uuid::new_v4().simple().to_string()
    }
}

pub(crate) fn from_store(error: StoreError) -> DeployError {
    match error {
        StoreError::NotFound => DeployError::NotFound("record"),
        StoreError::DeploymentInProgress => DeployError::InProgress,
        other => DeployError::Store(other),
    }
}
