//! The work of each state. Every step is safe to repeat, and its result is an event.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use model::deployment::{Event, Work};
use model::{ContainerId, Deployment, DeploymentId, Failure, FailureCode, Phase, Release};
use store::StoreError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::container;
use crate::explain::{self, Ended};
use crate::platform::Platform;
use crate::releasing::layers_gone;

/// Longest time for reading manifest and configuration.
const RESOLVE_LIMIT: Duration = Duration::from_secs(120);
/// Longest time for a repository.
const FETCH_LIMIT: Duration = Duration::from_secs(900);
/// Longest time for all layers of an image.
const PULL_LIMIT: Duration = Duration::from_secs(3600);
/// Longest time for making and for starting a container.
const ENGINE_LIMIT: Duration = Duration::from_secs(120);

/// Instances of one release that are made, started or asked at the same time.
const AT_A_TIME: usize = 4;

pub(crate) type StepResult = Result<Event, Failure>;

impl Platform {
    /// Does the work of the deployment's state.
    pub(crate) async fn step(&self, deployment: &Deployment, cancel: &CancellationToken) -> Event {
        let phase = deployment.state.phase();
        let result = match deployment.state.work() {
            Work::Nothing => Ok(Event::Begun(deployment.beginning())),
            Work::Resolve => {
                within(RESOLVE_LIMIT, phase, "Reading the image", self.resolve(deployment)).await
            }
            Work::Fetch => {
                within(FETCH_LIMIT, phase, "Fetching the repository", self.fetch(deployment)).await
            }
            // Its time begins when its turn comes.
            Work::Build => self.build(deployment).await,
            Work::Pull => within(PULL_LIMIT, phase, "Pulling the image", self.pull(deployment)).await,
            Work::Create => {
                within(ENGINE_LIMIT, phase, "Making the container", self.create(deployment)).await
            }
            Work::Start => {
                within(ENGINE_LIMIT, phase, "Starting the container", self.launch(deployment)).await
            }
            Work::AwaitHealth => self.await_health(deployment).await,
            Work::SwitchTraffic => self.switch(deployment, cancel).await,
            Work::Drain(old) => self.drain(deployment, old).await,
            Work::DestroyContainers => self.destroy(deployment).await,
        };
        result.unwrap_or_else(Event::StepFailed)
    }

    async fn create(&self, deployment: &Deployment) -> StepResult {
        let release = self.release(deployment, Phase::Start).await?;
        self.note(deployment, &making_words(release.instances)).await;
        let making = instances(deployment.id, &release).map(|id| self.make_container(id, &release));
        all_of(making).await?;
        Ok(Event::Created)
    }

    async fn launch(&self, deployment: &Deployment) -> StepResult {
        let release = self.release(deployment, Phase::Start).await?;
        all_of(instances(deployment.id, &release).map(|id| self.launch_container(id, &release))).await?;
        failpoint::reach("S12");
        self.note(deployment, &format!("Started; waiting until it answers on port {}", release.port)).await;
        Ok(Event::Started)
    }

    /// Whole already, unless the machine was restarted between the two steps.
    async fn launch_container(&self, id: ContainerId, release: &Release) -> Result<(), Failure> {
        self.make_container(id.clone(), release).await?;
        self.start_container(&id, release).await.map(drop)
    }

    async fn destroy(&self, deployment: &Deployment) -> StepResult {
        self.retire(deployment.id).await;
        if deployment.git.is_some() {
            self.unmake_build(deployment).await;
        }
        Ok(Event::Undone)
    }

    /// Makes the container whole: files in place, engine asked.
    pub(crate) async fn make_container(&self, id: ContainerId, release: &Release) -> Result<(), Failure> {
        let rootfs = self.rootfs(release).await.map_err(|error| error.failure(Phase::Start))?;
        let Some(rootfs) = rootfs else {
            return Err(layers_gone(Phase::Start, release));
        };
        let name = self.model_name(release).await?;
        let spec = container::spec(id, &name, release, rootfs);
        match self.engine().create(&spec).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.engine_failure(&spec.id, release, error).await),
        }
    }

    /// Starts the container and gives its address.
    pub(crate) async fn start_container(
        &self,
        id: &ContainerId,
        release: &Release,
    ) -> Result<SocketAddr, Failure> {
        match self.engine().start(id).await {
            Ok(address) => Ok(address),
            Err(error) => Err(self.engine_failure(id, release, error).await),
        }
    }

    async fn engine_failure(
        &self,
        id: &ContainerId,
        release: &Release,
        error: engine::EngineError,
    ) -> Failure {
        match error {
            engine::EngineError::Exited(exit) => self.ended(Phase::Start, id, release, &exit).await,
            error => Failure {
                during: Phase::Start,
                code: error.code(),
                message: error.to_string(),
                hint: error.hint(),
                exit_code: None,
                log_tail: container::log_tail(self.engine(), id).await,
            },
        }
    }

    pub(crate) async fn ended(
        &self,
        phase: Phase,
        id: &ContainerId,
        release: &Release,
        exit: &engine::Exit,
    ) -> Failure {
        let name = self.app_name(release).await;
        let log_tail = container::log_tail(self.engine(), id).await;
        explain::ended_early(
            phase,
            Ended {
                app: &name,
                port: release.port,
                exit_code: exit.code,
                out_of_memory: exit.out_of_memory,
                limits: release.limits,
                log_tail,
            },
        )
    }

    pub(crate) async fn release(&self, deployment: &Deployment, phase: Phase) -> Result<Release, Failure> {
        let company = self.store().company(deployment.company);
        let id = match deployment.release {
            Some(id) => Ok(id),
            None => company
                .deployment(deployment.app, deployment.id)
                .await
                .and_then(|stored| stored.release.ok_or(StoreError::NotFound)),
        };
        let release = match id {
            Ok(id) => company.release(id).await,
            Err(error) => Err(error),
        };
        release.map_err(|error| store_failure(phase, &error))
    }

    /// The name for messages; a fault of the database is no reason to lose the message.
    pub(crate) async fn app_name(&self, release: &Release) -> String {
        match self.model_name(release).await {
            Ok(name) => name.to_string(),
            Err(_) => "the application".to_owned(),
        }
    }

    async fn model_name(&self, release: &Release) -> Result<model::AppName, Failure> {
        let app = self.store().company(release.company).app(release.app).await;
        app.map(|app| app.name).map_err(|error| store_failure(Phase::Start, &error))
    }
}

/// A step's result, or a failure when it takes too long. The step is dropped then, which stops its work.
pub(crate) async fn within(
    limit: Duration,
    phase: Phase,
    what: &str,
    step: impl Future<Output = StepResult>,
) -> StepResult {
    let deadline = Instant::now() + limit;
    match tokio::time::timeout_at(deadline, step).await {
        Ok(result) => result,
        Err(_) => Err(explain::timed_out(phase, what, limit.as_secs())),
    }
}

/// The containers of a release's instances.
pub(crate) fn instances(
    deployment: DeploymentId,
    release: &Release,
) -> impl Iterator<Item = ContainerId> + use<> {
    (0..release.instances).map(move |instance| ContainerId::of(deployment, instance))
}

/// A few at a time, for the sake of small machines. The first failure ends the others.
pub(crate) async fn all_of<T>(
    work: impl Iterator<Item = impl Future<Output = Result<T, Failure>>>,
) -> Result<Vec<T>, Failure> {
    // Listed, because the compiler cannot prove of the lazy chain that it may move between threads.
    let work: Vec<_> = work.collect();
    stream::iter(work).buffered(AT_A_TIME).try_collect().await
}

fn making_words(instances: u16) -> String {
    match instances {
        1 => "Making the container".to_owned(),
        count => format!("Making {count} containers"),
    }
}

pub(crate) fn store_failure(phase: Phase, error: &StoreError) -> Failure {
    if matches!(error, StoreError::DiskFull) {
        let words = "The disk of the data folder is full: how far the deployment is cannot be written down.";
        let hint = "Remove applications or files that nobody needs, or enlarge the disk, and deploy again.";
        return Failure::new(phase, FailureCode::DiskFull, words.to_owned(), Some(hint));
    }
    explain::internal(phase, "Reading or writing the database", error)
}
