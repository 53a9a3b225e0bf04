//! The work of each state. Every step is safe to repeat, and its result is an event.

use std::net::SocketAddr;
use std::time::Duration;

use engine::Status;
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

pub(crate) type StepResult = Result<Event, Failure>;

impl Platform {
    /// Does the work of the deployment's state.
    pub(crate) async fn step(&self, deployment: &Deployment, cancel: &CancellationToken) -> Event {
        let phase = deployment.state.phase();
        let result = match deployment.state.work() {
            Work::Nothing => Ok(Event::Begun { release_known: deployment.release.is_some() }),
            Work::Resolve => {
                within(RESOLVE_LIMIT, phase, "Reading the image", self.resolve(deployment)).await
            }
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
        let Source::Image { credential, .. } = app.source;
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
            env: plan::release_env(&variables, port),
            command,
            port,
            instances: 1,
            probe: plan::probe(&process),
            liveness: None,
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
        self.note(deployment, "Making the container").await;
        self.make_container(deployment.id, &release).await?;
        Ok(Event::Created)
    }

    async fn launch(&self, deployment: &Deployment) -> StepResult {
        let release = self.release(deployment, Phase::Start).await?;
        // Whole already, unless the machine was restarted between the two steps.
        self.make_container(deployment.id, &release).await?;
        let address = self.start_container(deployment.id, &release).await?;
        failpoint::reach("S12");
        self.note(deployment, &format!("Started; waiting until it answers on port {}", address.port())).await;
        Ok(Event::Started)
    }

    /// The switch is the transaction; publishing follows it and is repeated until the ingress has it.
    ///
    /// Suspending and removing an application take turns with it, so that none undoes half of another.
    async fn switch(&self, deployment: &Deployment, cancel: &CancellationToken) -> StepResult {
        let phase = Phase::Route;
        let company = self.store().company(deployment.company);
        let _turn = self.turn(deployment.app).await;
        if cancel.is_cancelled() {
            return Err(cancelled_before_the_switch());
        }
        // Everything that can fail comes before the transaction.
        let app = company.app(deployment.app).await.map_err(|error| store_failure(phase, &error))?;
        let address = self.running_at(deployment.id).await?;
        let old = company.switch(deployment.id).await.map_err(|error| store_failure(phase, &error))?;
        failpoint::reach("S14a");

        self.publish_until_known(&app.name, deployment.id, address).await;
        failpoint::reach("S14");
        self.keep(&app, Some(deployment.id)).await;
        self.note(deployment, "Switched: new requests go to this release").await;
        Ok(Event::Switched { old })
    }

    /// Where the container runs; a failure when it does not.
    async fn running_at(&self, deployment: DeploymentId) -> Result<SocketAddr, Failure> {
        match self.engine().status(&ContainerId::of(deployment, 0)).await {
            Ok(Status::Running { address }) => Ok(address),
            Ok(_) => Err(gone_before_the_switch()),
            Err(error) => Err(explain::internal(Phase::Route, "Looking at the container", &error)),
        }
    }

    /// Old requests end, then the old container does. It cannot fail: every wait has an end, and what could not
    /// be removed is removed by the next start.
    async fn drain(&self, deployment: &Deployment, old: Option<DeploymentId>) -> StepResult {
        self.settle(deployment).await;
        if let Some(old) = old.filter(|old| *old != deployment.id) {
            failpoint::reach("S15");
            let limit = self.settings().drain_timeout;
            match self.ingress().drain(&old.to_string(), limit).await {
                Ok(drained) if drained.left > 0 => {
                    let words = format!("{} old requests were cut after {} s", drained.left, limit.as_secs());
                    self.note(deployment, &words).await;
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "the old release could not be drained"),
            }
            self.retire_container(old).await;
            failpoint::reach("S17");
            self.note(deployment, "The old release is stopped").await;
        }
        Ok(Event::Drained)
    }

    /// After a restart in the middle of a switch: the routes may still lead to the old container, which must not
    /// be drained then.
    async fn settle(&self, deployment: &Deployment) {
        let _turn = self.turn(deployment.app).await;
        let app = self.store().company(deployment.company).app(deployment.app).await;
        let Ok(app) = app else { return };
        if app.is_suspended || app.serving != Some(deployment.id) {
            return;
        }
        if let Ok(address) = self.running_at(deployment.id).await {
            self.publish_until_known(&app.name, deployment.id, address).await;
        }
        self.keep(&app, Some(deployment.id)).await;
    }

    async fn destroy(&self, deployment: &Deployment) -> StepResult {
        self.retire_container(deployment.id).await;
        Ok(Event::Undone)
    }

    /// Makes the container whole: files in place, engine asked.
    pub(crate) async fn make_container(
        &self,
        deployment: DeploymentId,
        release: &Release,
    ) -> Result<(), Failure> {
        let rootfs = self.rootfs(release).await.map_err(|error| error.failure(Phase::Start))?;
        let Some(rootfs) = rootfs else {
            return Err(layers_gone(&release.reference));
        };
        let name = self.model_name(release).await?;
        let spec = container::spec(deployment, &name, release, rootfs);
        match self.engine().create(&spec).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.engine_failure(&spec.id, release, error).await),
        }
    }

    /// Starts the container and gives its address.
    pub(crate) async fn start_container(
        &self,
        deployment: DeploymentId,
        release: &Release,
    ) -> Result<SocketAddr, Failure> {
        let id = ContainerId::of(deployment, 0);
        match self.engine().start(&id).await {
            Ok(address) => Ok(address),
            Err(error) => Err(self.engine_failure(&id, release, error).await),
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

fn parse(reference: &str) -> Result<Reference, Failure> {
    Reference::parse(reference).map_err(|error| {
        let message = format!("{reference:?} is no image reference: {error}.");
        Failure::new(Phase::Resolve, FailureCode::ImageReferenceInvalid, message, None)
    })
}

fn store_failure(phase: Phase, error: &StoreError) -> Failure {
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

fn cancelled_before_the_switch() -> Failure {
    let message = "The deployment was cancelled before it was switched to.";
    Failure::new(Phase::Route, FailureCode::Cancelled, message, None)
}

fn gone_before_the_switch() -> Failure {
    let message = "The new container ended between its last check and the switch.";
    Failure::new(Phase::Route, FailureCode::ExitedEarly, message, Some("Look at its log, and deploy again."))
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
