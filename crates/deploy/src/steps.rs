//! The work of each state. Every step is safe to repeat, and its result is an event.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use image::Progress;
use model::deployment::{Event, Work};
use model::image::Reference;
use model::{
    ContainerId, Deployment, DeploymentId, Failure, FailureCode, Phase, Release, ReleaseId, Source, Timestamp,
};
use store::StoreError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::explain::{self, Ended};
use crate::platform::Platform;
use crate::{container, plan};

/// Longest time for reading manifest and configuration.
const RESOLVE_LIMIT: Duration = Duration::from_secs(120);
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
            Work::Fetch | Work::Build => Err(no_builder(phase)),
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

    /// Reference to digest, and with the application's settings of this moment to a release.
    async fn resolve(&self, deployment: &Deployment) -> StepResult {
        let phase = Phase::Resolve;
        let reference = parse(&deployment.reference)?;
        self.note(deployment, &format!("Resolving {reference}")).await;
        let company = self.store().company(deployment.company);
        let app = company.app(deployment.app).await.map_err(|error| store_failure(phase, &error))?;
        let credential = match app.source {
            Source::Image { credential, .. } => credential,
            Source::Git(_) => None,
        };
        let noted = company.deployment_uses(deployment.id, credential).await;
        noted.map_err(|error| store_failure(phase, &error))?;
        let _sweep = self.images_in_use().await;
        let resolved = self.resolve_image(deployment.company, credential, &reference).await;
        let resolved = resolved.map_err(|error| error.failure(phase))?;
        failpoint::reach("S3");

        let process =
            company.web_process(deployment.app).await.map_err(|error| store_failure(phase, &error))?;
        let variables =
            company.all_env_vars(deployment.app).await.map_err(|error| store_failure(phase, &error))?;
        let port = plan::port(&process, &variables, &resolved.config);
        let command = plan::command(&process).map_err(|text| bad_command(&text))?;
        if plan::arguments(&resolved.config, &command).is_empty() {
            return Err(no_command(&reference));
        }
        let release = Release {
            id: ReleaseId::new(),
            app: deployment.app,
            company: deployment.company,
            reference: deployment.reference.clone(),
            digest: resolved.digest.clone(),
            manifest: resolved.manifest.clone(),
            credential,
            commit: None,
            env: plan::release_env(&variables, port),
            command,
            port,
            instances: plan::instances(&process),
            probe: plan::readiness(&process),
            liveness: plan::liveness(&process),
            limits: plan::limits(&process),
            config: resolved.config,
            created_at: Timestamp::now(),
        };
        company.resolved(deployment.id, &release).await.map_err(|error| store_failure(phase, &error))?;
        self.note(deployment, &format!("{reference} is {}", resolved.digest)).await;
        Ok(Event::Resolved)
    }

    async fn pull(&self, deployment: &Deployment) -> StepResult {
        let release = self.release(deployment, Phase::Pull).await?;
        let reference = parse(&release.reference)?;
        let _sweep = self.images_in_use().await;
        let progress = self.progress_of(deployment.id);
        let rootfs = self.fetch_layers(&release, &reference, &progress).await;
        let rootfs = rootfs.map_err(|error| error.failure(Phase::Pull))?;
        self.note(deployment, &pulled_words(rootfs.layers.len(), &progress)).await;
        Ok(Event::Pulled)
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
        Ok(Event::Undone)
    }

    /// Makes the container whole: files in place, engine asked.
    pub(crate) async fn make_container(&self, id: ContainerId, release: &Release) -> Result<(), Failure> {
        let rootfs = self.rootfs(release).await.map_err(|error| error.failure(Phase::Start))?;
        let Some(rootfs) = rootfs else {
            return Err(layers_gone(&release.reference));
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
async fn within(
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

fn parse(reference: &str) -> Result<Reference, Failure> {
    Reference::parse(reference).map_err(|error| {
        let message = format!("{reference:?} is no image reference: {error}.");
        Failure::new(Phase::Resolve, FailureCode::ImageReferenceInvalid, message, None)
    })
}

pub(crate) fn store_failure(phase: Phase, error: &StoreError) -> Failure {
    if matches!(error, StoreError::DiskFull) {
        let words = "The disk of the data folder is full: how far the deployment is cannot be written down.";
        let hint = "Remove applications or files that nobody needs, or enlarge the disk, and deploy again.";
        return Failure::new(phase, FailureCode::DiskFull, words.to_owned(), Some(hint));
    }
    explain::internal(phase, "Reading or writing the database", error)
}

fn bad_command(text: &str) -> Failure {
    let message = format!("The start command {text:?} cannot be read: a quote is not closed.");
    Failure::new(
        Phase::Resolve,
        FailureCode::CommandNotFound,
        message,
        Some("Correct the start command of the web process."),
    )
}

fn no_command(reference: &Reference) -> Failure {
    let message =
        format!("{reference} names no program to start: it has neither an entry point nor a command.");
    let hint = "Give the web process a start command, or build the image with ENTRYPOINT or CMD.";
    Failure::new(Phase::Resolve, FailureCode::CommandNotFound, message, Some(hint))
}

fn no_builder(phase: Phase) -> Failure {
    let message = "This version does not build images.";
    Failure::new(phase, FailureCode::BuilderMissing, message, None)
}

fn layers_gone(reference: &str) -> Failure {
    let message = format!("The layers of {reference} are not on this machine any more.");
    Failure::new(Phase::Start, FailureCode::LayerMissing, message, Some("Deploy the image again."))
}

/// `Pulled 3 layers, 41.2 MB` or, when nothing had to be fetched, `All 3 layers were here already`.
fn pulled_words(count: usize, progress: &Progress) -> String {
    let fetched: Vec<_> =
        progress.snapshot().into_iter().filter(|layer| layer.state == image::LayerState::Done).collect();
    if fetched.is_empty() {
        return format!("All {count} layers were here already");
    }
    let bytes: u64 = fetched.iter().map(|layer| layer.total_bytes).sum();
    format!("Pulled {} of {count} layers, {:.1} MB", fetched.len(), bytes as f64 / 1e6)
}
