//! From what a deployment rolls out to its release: which image it is, and with the application's settings of this
//! moment everything that serving it needs.

use image::{Progress, Resolved};
use model::deployment::Event;
use model::image::{Digest, ImageConfig, Reference};
use model::{
    Commit, CredentialId, Deployment, Failure, FailureCode, Phase, Release, ReleaseId, Source, Timestamp,
};
use store::StoreError;

use crate::plan;
use crate::platform::Platform;
use crate::steps::{StepResult, store_failure};

/// The image of a release.
pub(crate) struct ReleaseImage {
    pub reference: String,
    pub digest: Digest,
    pub manifest: Digest,
    pub credential: Option<CredentialId>,
    pub commit: Option<Commit>,
    pub config: ImageConfig,
}

impl ReleaseImage {
    pub(crate) fn new(
        reference: String,
        resolved: Resolved,
        credential: Option<CredentialId>,
        commit: Option<Commit>,
    ) -> Self {
        let Resolved { digest, manifest, config, .. } = resolved;
        Self { reference, digest, manifest, credential, commit, config }
    }
}

impl From<Release> for ReleaseImage {
    fn from(release: Release) -> Self {
        let Release { reference, digest, manifest, credential, commit, config, .. } = release;
        Self { reference, digest, manifest, credential, commit, config }
    }
}

impl Platform {
    /// Reference to digest, and with the application's settings of this moment to a release.
    pub(crate) async fn resolve(&self, deployment: &Deployment) -> StepResult {
        if let Some(release) = deployment.image_of {
            return self.take_over(deployment, release).await;
        }
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

        let digest = resolved.digest.clone();
        let image = ReleaseImage::new(deployment.reference.clone(), resolved, credential, None);
        self.make_release(deployment, phase, image).await?;
        self.note(deployment, &format!("{reference} is {digest}")).await;
        Ok(Event::Resolved)
    }

    /// The image of another release, with the application's settings of this moment. No registry is asked.
    async fn take_over(&self, deployment: &Deployment, release: ReleaseId) -> StepResult {
        let phase = Phase::Resolve;
        // From here to the new release, so that nothing of the image is removed in between.
        let _sweep = self.images_in_use().await;
        let release = match self.store().company(deployment.company).release(release).await {
            Ok(release) => release,
            Err(StoreError::NotFound) => return Err(release_gone(&deployment.reference)),
            Err(error) => return Err(store_failure(phase, &error)),
        };
        let words = format!("Taking over the image {} ({})", release.reference, release.digest);
        self.make_release(deployment, phase, release.into()).await?;
        self.note(deployment, &words).await;
        Ok(Event::Resolved)
    }

    /// Writes down the release of a deployment: the image with the application's settings of this moment. The caller
    /// keeps the sweep away.
    pub(crate) async fn make_release(
        &self,
        deployment: &Deployment,
        phase: Phase,
        image: ReleaseImage,
    ) -> Result<(), Failure> {
        let company = self.store().company(deployment.company);
        let failed = |error| store_failure(phase, &error);
        let process = company.web_process(deployment.app).await.map_err(failed)?;
        let variables = company.all_env_vars(deployment.app).await.map_err(failed)?;
        let port = plan::port(&process, &variables, &image.config);
        let command = plan::command(&process).map_err(|text| bad_command(phase, &text))?;
        if plan::arguments(&image.config, &command).is_empty() {
            return Err(no_command(phase, &image.reference));
        }
        let release = Release {
            id: ReleaseId::new(),
            app: deployment.app,
            company: deployment.company,
            reference: image.reference,
            digest: image.digest,
            manifest: image.manifest,
            credential: image.credential,
            commit: image.commit,
            env: plan::release_env(&variables, port),
            command,
            port,
            instances: plan::instances(&process),
            probe: plan::readiness(&process),
            liveness: plan::liveness(&process),
            limits: plan::limits(&process),
            config: image.config,
            created_at: Timestamp::now(),
        };
        company.resolved(deployment.id, &release).await.map_err(failed)
    }

    /// Brings the layers of a deployment's release in place.
    pub(crate) async fn pull(&self, deployment: &Deployment) -> StepResult {
        let release = self.release(deployment, Phase::Pull).await?;
        let _sweep = self.images_in_use().await;
        if release.commit.is_some() {
            return self.layers_of_build(deployment, &release).await;
        }
        let reference = parse(&release.reference)?;
        let progress = self.progress_of(deployment.id);
        let rootfs = self.fetch_layers(&release, &reference, &progress).await;
        let rootfs = rootfs.map_err(|error| error.failure(Phase::Pull))?;
        self.note(deployment, &pulled_words(rootfs.layers.len(), &progress)).await;
        Ok(Event::Pulled)
    }

    /// What was built here is here, or nowhere.
    async fn layers_of_build(&self, deployment: &Deployment, release: &Release) -> StepResult {
        match self.rootfs(release).await.map_err(|error| error.failure(Phase::Pull))? {
            Some(rootfs) => {
                self.note(deployment, &format!("All {} layers are here", rootfs.layers.len())).await;
                Ok(Event::Pulled)
            }
            None => Err(layers_gone(Phase::Pull, release)),
        }
    }
}

fn parse(reference: &str) -> Result<Reference, Failure> {
    Reference::parse(reference).map_err(|error| {
        let message = format!("{reference:?} is no image reference: {error}.");
        Failure::new(Phase::Resolve, FailureCode::ImageReferenceInvalid, message, None)
    })
}

fn bad_command(phase: Phase, text: &str) -> Failure {
    let message = format!("The start command {text:?} cannot be read: a quote is not closed.");
    let hint = "Correct the start command of the web process.";
    Failure::new(phase, FailureCode::CommandNotFound, message, Some(hint))
}

fn no_command(phase: Phase, reference: &str) -> Failure {
    let message =
        format!("{reference} names no program to start: it has neither an entry point nor a command.");
    let hint = "Give the web process a start command, or build the image with ENTRYPOINT or CMD.";
    Failure::new(phase, FailureCode::CommandNotFound, message, Some(hint))
}

fn release_gone(reference: &str) -> Failure {
    let message = format!("The release with the image {reference} is kept no longer.");
    Failure::new(Phase::Resolve, FailureCode::LayerMissing, message, Some("Promote what serves now."))
}

/// The files of a release are not all here.
pub(crate) fn layers_gone(phase: Phase, release: &Release) -> Failure {
    let message = format!("The layers of {} are not on this machine any more.", release.reference);
    let hint = match &release.commit {
        Some(commit) => format!("Deploy the commit {} again: it is built anew.", commit.short()),
        None => "Deploy the image again.".to_owned(),
    };
    Failure::new(phase, FailureCode::LayerMissing, message, Some(&hint))
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
