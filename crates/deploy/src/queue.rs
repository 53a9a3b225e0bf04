//! Putting deployments into the queue of an application: a new one, one of an earlier release, one of the image of
//! another application.

use model::deployment::State;
use model::{
    App, AppId, Commit, CompanyId, Deployment, DeploymentId, GitOrder, GitSource, Release, Revision, Source,
    Timestamp, Trigger,
};
use store::RequestKey;

use crate::error::DeployError;
use crate::platform::{Platform, from_store};

/// What to deploy.
#[derive(Clone, Debug)]
pub struct Request {
    /// Another reference than the application's own, for this deployment only. Refused for what is built.
    pub reference: Option<String>,
    /// Another state of the repository than the application's branch, for this deployment only. Refused for a ready
    /// image.
    pub revision: Option<Revision>,
    /// What is known of that commit already, for people.
    pub commit: Option<Commit>,
    /// Where the branch stood before the push that asks for this.
    pub before: Option<String>,
    /// Roll the release that serves out again; without one it is a normal deployment.
    pub restart: bool,
    pub trigger: Trigger,
    /// Under this key it is done once, however often it is asked for.
    pub key: Option<RequestKey>,
}

/// What a deployment rolls out.
enum Rollout {
    Reference(String),
    Built(GitOrder),
    /// The release of an earlier deployment of the same application.
    Again(Box<Deployment>),
    /// The image of another application's release, and the commit behind it if it was built.
    ImageOf(Box<Release>, Option<GitOrder>),
}

impl Platform {
    /// Queues a deployment. Of those that wait the newest wins.
    pub async fn deploy(
        &self,
        company: CompanyId,
        app: AppId,
        request: Request,
    ) -> Result<Deployment, DeployError> {
        let record = self.app(company, app).await?;
        let Request { reference, revision, commit, before, restart, trigger, key } = request;
        let mut rollout = match record.serving.filter(|_| restart) {
            Some(serving) => Rollout::Again(Box::new(self.deployment(company, app, serving).await?)),
            None => asked_for(&record.source, reference, revision)?,
        };
        if let Rollout::Built(order) = &mut rollout {
            order.commit = commit.filter(|commit| is_of(&order.revision, commit));
            order.before = before;
        }
        self.enqueue(&record, rollout, trigger, key).await
    }

    /// Queues a deployment of an earlier release, exactly as it was: the given deployment's, or that of the
    /// latest success before the one that serves.
    pub async fn rollback(
        &self,
        company: CompanyId,
        app: AppId,
        to: Option<DeploymentId>,
        key: Option<RequestKey>,
    ) -> Result<Deployment, DeployError> {
        let record = self.app(company, app).await?;
        let target = match to {
            Some(id) => {
                let target = self.deployment(company, app, id).await?;
                (target.state == State::Done).then_some(target).ok_or(DeployError::NoSuccess)?
            }
            None => {
                let latest = self.store().company(company).last_successful(app, record.serving).await;
                latest.map_err(DeployError::Store)?.ok_or(DeployError::NoSuccess)?
            }
        };
        self.enqueue(&record, Rollout::Again(Box::new(target)), Trigger::RollbackDeployment, key).await
    }

    /// Queues a deployment of the image that `from` serves now, with the settings of `to`. Nothing is built or
    /// resolved for it: it is the same image to the last bit.
    pub async fn promote(
        &self,
        company: CompanyId,
        from: AppId,
        to: AppId,
        key: Option<RequestKey>,
    ) -> Result<Deployment, DeployError> {
        let (source, target) = (self.app(company, from).await?, self.app(company, to).await?);
        if from == to {
            return Err(DeployError::Refused(format!(
                "{} cannot be promoted to itself; deploy it again instead",
                source.name
            )));
        }
        let Some(serving) = source.serving else {
            return Err(DeployError::Refused(format!(
                "{} serves nothing yet, so there is no image to promote; deploy it first",
                source.name
            )));
        };
        let serving = self.deployment(company, from, serving).await?;
        let release = serving.release.ok_or(DeployError::NotFound("release"))?;
        let release = self.store().company(company).release(release).await.map_err(from_store)?;
        self.enqueue(&target, Rollout::ImageOf(Box::new(release), serving.git), Trigger::Promote, key).await
    }

    async fn enqueue(
        &self,
        app: &App,
        rollout: Rollout,
        trigger: Trigger,
        key: Option<RequestKey>,
    ) -> Result<Deployment, DeployError> {
        let deployment = waiting(app, rollout, trigger);
        let company = self.store().company(app.company);
        let queued = company.enqueue(&deployment, key.as_ref()).await.map_err(from_store)?;
        failpoint::reach("S1");
        self.wake_driver(app.company, app.id);
        Ok(queued)
    }
}

/// What an application of this source deploys when it is asked for a reference, a revision or neither.
fn asked_for(
    source: &Source,
    reference: Option<String>,
    revision: Option<Revision>,
) -> Result<Rollout, DeployError> {
    match (source, reference, revision) {
        (Source::Image { .. }, _, Some(_)) => Err(DeployError::Refused(
            "this application is a ready image, which has no branch, tag or commit of a repository; name an image"
                .to_owned(),
        )),
        (Source::Git(_), Some(_), _) => Err(DeployError::Refused(
            "this application is built from its repository and not from an image; name a branch, tag or commit"
                .to_owned(),
        )),
        (Source::Image { reference: own, .. }, other, None) => {
            Ok(Rollout::Reference(other.unwrap_or_else(|| own.clone())))
        }
        (Source::Git(git), None, revision) => Ok(Rollout::Built(GitOrder {
            url: git.url.clone(),
            revision: revision.unwrap_or_else(|| usual_revision(git)),
            commit: None,
            before: None,
        })),
    }
}

/// Only what is said of the very commit that is asked for may be taken for it.
fn is_of(revision: &Revision, commit: &Commit) -> bool {
    matches!(revision, Revision::Commit { id, .. } if *id == commit.id)
}

fn usual_revision(git: &GitSource) -> Revision {
    git.branch.clone().map_or(Revision::Default, Revision::Named)
}

fn waiting(app: &App, rollout: Rollout, trigger: Trigger) -> Deployment {
    let now = Timestamp::now();
    let mut deployment = Deployment {
        id: DeploymentId::new(),
        app: app.id,
        company: app.company,
        trigger,
        reference: String::new(),
        git: None,
        image_of: None,
        digest: None,
        credential: None,
        release: None,
        state: State::Waiting,
        created_at: now,
        started_at: None,
        finished_at: None,
        updated_at: now,
    };
    match rollout {
        Rollout::Reference(reference) => deployment.reference = reference,
        Rollout::Built(order) => deployment.git = Some(order),
        Rollout::Again(earlier) => {
            deployment.reference = earlier.reference;
            deployment.git = earlier.git;
            deployment.digest = earlier.digest;
            deployment.credential = earlier.credential;
            deployment.release = earlier.release;
        }
        Rollout::ImageOf(release, git) => {
            deployment.reference = release.reference;
            deployment.git = git;
            deployment.image_of = Some(release.id);
            deployment.digest = Some(release.digest);
            deployment.credential = release.credential;
        }
    }
    deployment
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::BuildSettings;

    fn image() -> Source {
        Source::Image { reference: "shop:1".into(), credential: None }
    }

    fn repository(branch: Option<&str>) -> Source {
        Source::Git(GitSource {
            url: "https://git.example/shop".into(),
            branch: branch.map(str::to_owned),
            credential: None,
            build: BuildSettings::default(),
        })
    }

    fn words(result: Result<Rollout, DeployError>) -> String {
        match result {
            Ok(Rollout::Reference(reference)) => reference,
            Ok(Rollout::Built(order)) => format!("{:?} of {}", order.revision, order.url),
            Ok(_) => "another release".to_owned(),
            Err(error) => format!("refused: {error}"),
        }
    }

    #[test]
    fn an_image_has_references_and_a_repository_has_revisions() {
        let named = || Some(Revision::Named("v2".into()));
        assert_eq!(words(asked_for(&image(), None, None)), "shop:1");
        assert_eq!(words(asked_for(&image(), Some("shop:2".into()), None)), "shop:2");
        assert!(
            words(asked_for(&image(), None, named())).starts_with("refused: this application is a ready")
        );
        let git = "https://git.example/shop";
        assert_eq!(words(asked_for(&repository(None), None, None)), format!("Default of {git}"));
        assert_eq!(
            words(asked_for(&repository(Some("main")), None, None)),
            format!("Named(\"main\") of {git}")
        );
        assert_eq!(
            words(asked_for(&repository(Some("main")), None, named())),
            format!("Named(\"v2\") of {git}")
        );
        assert!(words(asked_for(&repository(None), Some("shop:2".into()), None)).starts_with("refused: "));
    }
}
