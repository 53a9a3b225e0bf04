//! From the files of a commit to an image in the store, and to the release of the deployment.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use build::{Builder, Built, Mask, Order, Secret};
use model::deployment::Event;
use model::image::Reference;
use model::{Commit, Deployment, DeploymentId, Failure, FailureCode, GitSource, Phase, Timestamp};

use crate::builds::Builds;
use crate::explain;
use crate::ledger::Ledger;
use crate::platform::Platform;
use crate::pull::PullError;
use crate::releasing::ReleaseImage;
use crate::room::Room;
use crate::steps::{StepResult, store_failure, within};

const PHASE: Phase = Phase::Build;

/// Longest time for one build, its base images included.
const BUILD_LIMIT: Duration = Duration::from_secs(3600);
/// How often what a build says is written to the log.
const WRITE_EVERY: Duration = Duration::from_millis(200);

impl Platform {
    /// Builds the deployment's commit, when it is its turn.
    pub(crate) async fn build(&self, deployment: &Deployment) -> StepResult {
        if self.is_built(deployment).await? {
            self.end_guest(deployment.id).await;
            self.clear_build(deployment.id).await;
            return Ok(Event::Built);
        }
        let _place = match self.builds().free_place() {
            Some(place) => place,
            None => {
                self.note(deployment, "Waiting for another build to end").await;
                self.builds().place().await
            }
        };
        within(BUILD_LIMIT, PHASE, "Building the image", self.build_now(deployment)).await
    }

    /// Whether the release was written before the server was restarted, and its image is here.
    async fn is_built(&self, deployment: &Deployment) -> Result<bool, Failure> {
        if deployment.release.is_none() {
            return Ok(false);
        }
        let release = self.release(deployment, PHASE).await?;
        Ok(self.rootfs(&release).await.map_err(|error| error.failure(PHASE))?.is_some())
    }

    async fn build_now(&self, deployment: &Deployment) -> StepResult {
        let (_, git) = self.repository_of(deployment).await?;
        let commit = deployment.git.as_ref().and_then(|order| order.commit.clone());
        let commit = commit.ok_or_else(|| no_commit(deployment))?;
        // What a killed process left of this build.
        self.end_guest(deployment.id).await;
        let order = self.order(deployment, &git, &commit).await?;
        let built = self.build_and_tell(deployment, &git, &order).await?;
        failpoint::reach("S20");
        self.take(deployment, &built, commit).await?;
        self.clear_build(deployment.id).await;
        Ok(Event::Built)
    }

    async fn order(
        &self,
        deployment: &Deployment,
        git: &GitSource,
        commit: &Commit,
    ) -> Result<Order, Failure> {
        let checkout = self.files(deployment, git, commit).await?;
        let variables = self.store().company(deployment.company).build_variables(deployment.app).await;
        let variables = variables.map_err(|error| store_failure(PHASE, &error))?;
        let variables = variables.into_iter().map(|variable| (variable.key, Secret::new(variable.value)));
        Ok(Order {
            build: deployment.id,
            app: deployment.app,
            checkout,
            settings: git.build.clone(),
            variables: variables.collect(),
        })
    }

    /// Builds, and writes what is told meanwhile to the deployment's log.
    async fn build_and_tell(
        &self,
        deployment: &Deployment,
        git: &GitSource,
        order: &Order,
    ) -> Result<Built, Failure> {
        let ledger = self.builds().open_ledger(deployment.id);
        let mask = Mask::of(&order.variables);
        let room = Room::new(self, deployment, git.build.base_credential, Arc::clone(&ledger), mask);
        let built = tokio::select! {
            built = self.builder().build(order, &room) => built,
            () = self.keep_writing(deployment, &ledger) => unreachable!("it goes on for ever"),
        };
        let now = Timestamp::now();
        if let Err(failure) = &built {
            ledger.fill_gap(&failure.log_tail, now);
        }
        ledger.ended(built.is_ok(), now);
        self.write_ledger(deployment, &ledger).await;
        built
    }

    async fn keep_writing(&self, deployment: &Deployment, ledger: &Ledger) {
        loop {
            tokio::time::sleep(WRITE_EVERY).await;
            self.write_ledger(deployment, ledger).await;
        }
    }

    async fn write_ledger(&self, deployment: &Deployment, ledger: &Ledger) {
        self.append_lines(deployment, ledger.take_lines()).await;
    }

    /// The image into the store, and the release that it makes.
    async fn take(&self, deployment: &Deployment, built: &Built, commit: Commit) -> Result<(), Failure> {
        let name = Reference::parse(&deployment.reference)
            .map_err(|error| explain::internal(PHASE, "Naming the image", &error))?;
        // From here to the release, so that nothing of the image is removed in between.
        let _sweep = self.images_in_use().await;
        let taken = self.images().take(&built.layout, &name, deployment.company).await;
        let taken = taken.map_err(|error| PullError::plain(error).failure(PHASE))?;
        failpoint::reach("S21");
        let words = format!("Built {name}, which is {}", taken.digest);
        let image = ReleaseImage::new(deployment.reference.clone(), taken, None, Some(commit));
        self.make_release(deployment, PHASE, image).await?;
        self.note(deployment, &words).await;
        Ok(())
    }

    /// Ends what is left of a build and removes its files. Nothing to remove is fine; what cannot be removed is
    /// logged, and removed at the next start.
    pub(crate) async fn unmake_build(&self, deployment: &Deployment) {
        if let Some(ledger) = self.builds().ledger(deployment.id) {
            ledger.stopped(Timestamp::now());
            self.write_ledger(deployment, &ledger).await;
        }
        self.end_guest(deployment.id).await;
        self.clear_build(deployment.id).await;
    }

    /// Takes the processes, the limits and the network of a build away, whatever is left of them.
    pub(crate) async fn end_guest(&self, build: DeploymentId) {
        if let Err(error) = self.engine().dismiss(build).await {
            tracing::error!(deployment = %build, %error, "a build could not be ended whole");
        }
    }

    /// Removes the files of a build, but not its cache.
    pub(crate) async fn clear_build(&self, build: DeploymentId) {
        if let Err(error) = clear(self.builder(), self.builds(), build).await {
            tracing::error!(deployment = %build, %error, "the files of a build could not be removed");
        }
    }
}

/// What the builder has goes first: the next start finds what is left of a build by the folder of its checkout.
async fn clear(builder: &dyn Builder, builds: &Builds, build: DeploymentId) -> io::Result<()> {
    builder.clear(build).await?;
    builds.remove_files(build).await
}

/// A deployment is building only after its commit was written down.
fn no_commit(deployment: &Deployment) -> Failure {
    tracing::error!(deployment = %deployment.id, "it builds, and its commit is not known");
    let message = "Which commit is to be built is not known any more.";
    Failure::new(PHASE, FailureCode::InternalError, message, Some("Deploy again."))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use async_trait::async_trait;
    use build::{Check, Dockerfile, Surroundings};
    use model::{AppId, BuildSettings};

    use super::*;

    /// A builder that can remove what a build left, or cannot.
    struct Clearing(bool);

    #[async_trait]
    impl Builder for Clearing {
        async fn dockerfile(&self, _: &Path, _: &BuildSettings) -> Result<Dockerfile, Failure> {
            unreachable!("nobody asks")
        }
        async fn build(&self, _: &Order, _: &dyn Surroundings) -> Result<Built, Failure> {
            unreachable!("nobody asks")
        }
        async fn clear(&self, _: DeploymentId) -> io::Result<()> {
            self.0.then_some(()).ok_or_else(|| io::Error::other("busy"))
        }
        async fn forget(&self, _: AppId) -> io::Result<()> {
            unreachable!("nobody asks")
        }
        async fn kept(&self) -> io::Result<Vec<AppId>> {
            unreachable!("nobody asks")
        }
        async fn check(&self) -> Vec<Check> {
            unreachable!("nobody asks")
        }
    }

    #[tokio::test]
    async fn the_next_start_finds_a_build_that_could_not_be_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let (builds, id) = (Builds::new(folder.path().join("checkouts")), DeploymentId::new());
        builds.prepare(&builds.checkout(id)).await.unwrap();

        clear(&Clearing(false), &builds, id).await.unwrap_err();
        assert_eq!(builds.folders().await.unwrap(), [builds.checkout(id)]);
        clear(&Clearing(true), &builds, id).await.unwrap();
        assert!(builds.folders().await.unwrap().is_empty());
    }
}
