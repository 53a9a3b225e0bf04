//! What a build needs and does not have: base images, limits with a network, and somebody to tell.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use build::{Base, News, Surroundings};
use engine::Guest;
use image::Resolved;
use model::image::Digest;
use model::{CredentialId, Deployment, Failure, Phase, Timestamp};

use crate::base_login;
use crate::explain;
use crate::ledger::Ledger;
use crate::platform::Platform;
use crate::steps::store_failure;

const PHASE: Phase = Phase::Build;

/// Longest time for reading manifest and configuration of a base image, and for bringing it.
const RESOLVE_LIMIT: Duration = Duration::from_secs(120);
const FETCH_LIMIT: Duration = Duration::from_secs(1800);

/// The surroundings of one build.
pub struct Room<'a> {
    platform: &'a Platform,
    deployment: &'a Deployment,
    /// The application's own login for base images.
    credential: Option<CredentialId>,
    ledger: Arc<Ledger>,
}

impl<'a> Room<'a> {
    pub fn new(
        platform: &'a Platform,
        deployment: &'a Deployment,
        credential: Option<CredentialId>,
        ledger: Arc<Ledger>,
    ) -> Self {
        Self { platform, deployment, credential, ledger }
    }

    /// The credential that this base image is asked for with.
    async fn credential(&self, base: &Base) -> Result<Option<CredentialId>, Failure> {
        if base.reference.is_local() {
            return Ok(None);
        }
        let known = self.platform.store().company(self.deployment.company).all_credentials().await;
        let known = known.map_err(|error| store_failure(PHASE, &error))?;
        Ok(base_login::choose(self.credential, &known, base.reference.host()))
    }

    async fn find(&self, base: &Base) -> Result<Digest, Failure> {
        let credential = self.credential(base).await?;
        let _sweep = self.platform.images_in_use().await;
        let company = self.deployment.company;
        let resolved = self.platform.resolve_image(company, credential, &base.reference).await;
        let Resolved { digest, manifest, .. } = resolved.map_err(|error| error.failure(PHASE))?;
        self.say(format!("Base image {} is {digest}", base.reference));
        Ok(manifest)
    }

    async fn bring(&self, base: &Base, manifest: &Digest, into: &Path) -> Result<(), Failure> {
        let credential = self.credential(base).await?;
        let _sweep = self.platform.images_in_use().await;
        let company = self.deployment.company;
        let brought = self.platform.export_image(company, credential, &base.reference, manifest, into).await;
        brought.map_err(|error| error.failure(PHASE))
    }

    fn say(&self, text: String) {
        self.ledger.told(News::Line { text, is_error: false }, Timestamp::now());
    }
}

#[async_trait]
impl Surroundings for Room<'_> {
    async fn resolve(&self, base: &Base) -> Result<Digest, Failure> {
        in_time(RESOLVE_LIMIT, "Reading the base image", self.find(base))
            .await
            .map_err(|failure| of(base, failure))
    }

    async fn fetch(&self, base: &Base, manifest: &Digest, into: &Path) -> Result<(), Failure> {
        let brought = in_time(FETCH_LIMIT, "Fetching the base image", self.bring(base, manifest, into)).await;
        brought.map_err(|failure| of(base, failure))
    }

    async fn admit(&self, pid: u32) -> Result<(), Failure> {
        let guest = Guest { id: self.deployment.id, pid, limits: self.platform.builds().limits() };
        self.platform.engine().admit(&guest).await.map_err(|error| {
            let hint = error.hint();
            Failure::new(PHASE, error.code(), error.to_string(), hint.as_deref())
        })
    }

    async fn dismiss(&self) -> bool {
        match self.platform.engine().dismiss(self.deployment.id).await {
            Ok(out_of_memory) => out_of_memory,
            Err(error) => {
                tracing::error!(deployment = %self.deployment.id, %error, "a build could not be ended whole");
                false
            }
        }
    }

    fn told(&self, news: News) {
        self.ledger.told(news, Timestamp::now());
    }
}

async fn in_time<T>(
    limit: Duration,
    what: &str,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(explain::timed_out(PHASE, what, limit.as_secs())),
    }
}

/// The same cause, and which base image it is about.
fn of(base: &Base, mut failure: Failure) -> Failure {
    failure.during = PHASE;
    failure.message =
        format!("FROM {}, line {} of the Dockerfile: {}", base.reference, base.line, failure.message);
    failure
}
