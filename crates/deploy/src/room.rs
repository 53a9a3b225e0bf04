//! What a build needs and does not have: base images, limits with a network, and somebody to tell.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use build::{Base, Mask, News, Surroundings};
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
    /// Variables of the build are in the names of base images where a Dockerfile says so.
    mask: Mask,
}

impl<'a> Room<'a> {
    pub fn new(
        platform: &'a Platform,
        deployment: &'a Deployment,
        credential: Option<CredentialId>,
        ledger: Arc<Ledger>,
        mask: Mask,
    ) -> Self {
        Self { platform, deployment, credential, ledger, mask }
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
        let text = self.mask.hide(text);
        self.ledger.told(News::Line { text, is_error: false }, Timestamp::now());
    }
}

#[async_trait]
impl Surroundings for Room<'_> {
    async fn resolve(&self, base: &Base) -> Result<Digest, Failure> {
        in_time(RESOLVE_LIMIT, "Reading the base image", self.find(base))
            .await
            .map_err(|failure| of(base, failure, &self.mask))
    }

    async fn fetch(&self, base: &Base, manifest: &Digest, into: &Path) -> Result<(), Failure> {
        let brought = in_time(FETCH_LIMIT, "Fetching the base image", self.bring(base, manifest, into)).await;
        brought.map_err(|failure| of(base, failure, &self.mask))
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
fn of(base: &Base, mut failure: Failure, mask: &Mask) -> Failure {
    failure.during = PHASE;
    failure.message = mask
        .hide(format!("FROM {}, line {} of the Dockerfile: {}", base.reference, base.line, failure.message));
    failure.hint = failure.hint.map(|hint| mask.hide(hint));
    failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use build::Secret;
    use model::FailureCode;
    use model::image::Reference;

    #[test]
    fn values_of_variables_are_not_told_with_the_base_image_that_they_name() {
        let mask = Mask::of(&[("WHERE".to_owned(), Secret::new("hidden-place"))]);
        let base = Base { reference: Reference::parse("ghcr.io/hidden-place/web:1").unwrap(), line: 3 };
        let message = format!("There is no {}.", base.reference);
        let hint = format!("Look at https://{}.", base.reference);
        let failure = Failure::new(Phase::Pull, FailureCode::ImageNotFound, message, Some(&hint));
        let failure = of(&base, failure, &mask);
        assert_eq!(failure.during, PHASE);
        assert_eq!(
            failure.message,
            "FROM ghcr.io/***/web:1, line 3 of the Dockerfile: There is no ghcr.io/***/web:1."
        );
        assert_eq!(failure.hint.as_deref(), Some("Look at https://ghcr.io/***/web:1."));
    }
}
