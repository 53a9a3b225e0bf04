//! The seam between the API and deployments: the API's trait, answered by `deploy`.

use api::platform as wanted;
use async_trait::async_trait;
use deploy::DeployError;
use model::git::{BuildSettings, GitUrl, Revision};
use model::image::{Digest, Reference};
use model::{
    AppId, AppName, CompanyId, CredentialId, Deployment, DeploymentId, FailureCode, GitCredentialId,
};

/// `deploy` as the API wants to see it.
pub struct Glue(pub deploy::Platform);

#[async_trait]
impl wanted::Platform for Glue {
    async fn deploy(
        &self,
        company: CompanyId,
        app: AppId,
        request: wanted::DeployRequest,
    ) -> Result<Deployment, wanted::PlatformError> {
        let wanted::DeployRequest { image, revision, commit, restart, trigger, key } = request;
        let request = deploy::Request { reference: image, revision, commit, restart, trigger, key };
        self.0.deploy(company, app, request).await.map_err(translated)
    }

    async fn rollback(
        &self,
        company: CompanyId,
        app: AppId,
        to: Option<DeploymentId>,
        key: Option<store::RequestKey>,
    ) -> Result<Deployment, wanted::PlatformError> {
        self.0.rollback(company, app, to, key).await.map_err(translated)
    }

    async fn promote(
        &self,
        company: CompanyId,
        from: AppId,
        to: AppId,
        key: Option<store::RequestKey>,
    ) -> Result<Deployment, wanted::PlatformError> {
        self.0.promote(company, from, to, key).await.map_err(translated)
    }

    async fn cancel(
        &self,
        company: CompanyId,
        app: AppId,
        id: DeploymentId,
    ) -> Result<(), wanted::PlatformError> {
        self.0.cancel(company, app, id).await.map_err(translated)
    }

    async fn suspend(&self, company: CompanyId, app: AppId) -> Result<(), wanted::PlatformError> {
        self.0.suspend(company, app).await.map_err(translated)
    }

    async fn activate(&self, company: CompanyId, app: AppId) -> Result<(), wanted::PlatformError> {
        self.0.activate(company, app).await.map_err(translated)
    }

    async fn exposure_changed(&self, company: CompanyId, app: AppId) -> Result<(), wanted::PlatformError> {
        self.0.exposure_changed(company, app).await.map_err(translated)
    }

    async fn delete_app(&self, company: CompanyId, app: AppId) -> Result<(), wanted::PlatformError> {
        self.0.delete_app(company, app).await.map_err(translated)
    }

    async fn inspect(
        &self,
        company: CompanyId,
        reference: &Reference,
        credential: Option<CredentialId>,
    ) -> Result<wanted::Inspection, wanted::PlatformError> {
        let resolved = self.0.inspect(company, reference, credential).await.map_err(translated)?;
        let size_of = |digest: &Digest| (*digest == resolved.manifest).then_some(resolved.size);
        let platforms = resolved.platforms.iter().map(|entry| wanted::InspectedPlatform {
            platform: entry.platform.clone(),
            manifest: entry.digest.clone(),
            size: size_of(&entry.digest),
        });
        Ok(wanted::Inspection {
            platforms: platforms.collect(),
            digest: resolved.digest,
            media_type: resolved.media_type,
            manifest: resolved.manifest,
            config: resolved.config,
            size: resolved.size,
        })
    }

    async fn check_login(
        &self,
        company: CompanyId,
        host: &str,
        username: &str,
        secret: &str,
    ) -> Result<wanted::LoginCheck, wanted::PlatformError> {
        self.0.check_login(company, host, username, secret).await.map(checked).map_err(translated)
    }

    async fn verify_credential(
        &self,
        company: CompanyId,
        credential: CredentialId,
    ) -> Result<wanted::LoginCheck, wanted::PlatformError> {
        self.0.verify_credential(company, credential).await.map(checked).map_err(translated)
    }

    fn verify_in_background(&self, company: CompanyId, credential: CredentialId) {
        let platform = self.0.clone();
        tokio::spawn(async move {
            if let Err(error) = platform.verify_credential(company, credential).await {
                tracing::info!(%credential, %error, "its registry said neither yes nor no");
            }
        });
    }

    async fn inspect_repository(
        &self,
        _company: CompanyId,
        _url: &GitUrl,
        _credential: Option<GitCredentialId>,
        _revision: &Revision,
        _settings: &BuildSettings,
    ) -> Result<wanted::Repository, wanted::PlatformError> {
        Err(not_yet("look into a repository"))
    }

    async fn make_deploy_key(
        &self,
        _host: &str,
        _comment: &str,
    ) -> Result<wanted::DeployKey, wanted::PlatformError> {
        Err(not_yet("make a deploy key"))
    }

    fn allows_plain_http(&self, _host: &str) -> bool {
        false
    }

    async fn runtime_logs(
        &self,
        company: CompanyId,
        app: AppId,
        query: &wanted::LogQuery,
    ) -> Result<Vec<wanted::RuntimeLine>, wanted::PlatformError> {
        let query = engine::LogQuery {
            from: Some(query.from),
            to: Some(query.to),
            contains: None,
            limit: query.limit,
        };
        let lines = self.0.runtime_logs(company, app, &query).await.map_err(translated)?;
        let several = self.0.conditions(app).len() > 1;
        let line = |line: deploy::RuntimeLine| wanted::RuntimeLine {
            deployment: line.deployment,
            process: None,
            instance: several.then_some(line.instance),
            line: line.line,
        };
        Ok(lines.into_iter().map(line).collect())
    }

    fn progress(&self, deployment: DeploymentId) -> Option<wanted::Progress> {
        let layers = self.0.progress(deployment)?.into_iter().map(|layer| wanted::LayerProgress {
            digest: layer.digest,
            done: layer.done_bytes,
            total: layer.total_bytes,
            state: match layer.state {
                image::LayerState::Waiting => wanted::LayerState::Waiting,
                image::LayerState::Pulling => wanted::LayerState::Pulling,
                image::LayerState::Done => wanted::LayerState::Done,
                image::LayerState::Shared => wanted::LayerState::Shared,
            },
        });
        Some(wanted::Progress { steps: Vec::new(), layers: layers.collect() })
    }

    fn conditions(&self, app: AppId) -> Vec<wanted::InstanceCondition> {
        (1..).zip(self.0.conditions(app)).map(instance).collect()
    }

    fn url(&self, app: &AppName) -> String {
        self.0.url(app)
    }
}

fn not_yet(what: &str) -> wanted::PlatformError {
    wanted::PlatformError::Refused(format!("This version cannot {what} yet."))
}

/// The container with this number, as people count.
fn instance((instance, condition): (u16, deploy::Condition)) -> wanted::InstanceCondition {
    let deploy::Condition { phase, restarts, last_end, last_end_at } = condition;
    let (state, next_start_at) = match phase {
        deploy::Running::Starting => ("starting", None),
        deploy::Running::Running => ("running", None),
        deploy::Running::NotReady => ("not_ready", None),
        deploy::Running::BackingOff { until } => ("backing_off", Some(until)),
    };
    let is_ready = phase == deploy::Running::Running;
    wanted::InstanceCondition { instance, state, is_ready, restarts, last_end, last_end_at, next_start_at }
}

fn translated(error: DeployError) -> wanted::PlatformError {
    use wanted::PlatformError as P;
    match error {
        DeployError::NotFound(what) => P::NotFound(what),
        DeployError::InProgress => P::DeploymentInProgress,
        DeployError::Finished => P::DeploymentFinished,
        DeployError::AlreadyServing => P::AlreadyServing,
        DeployError::NoSuccess => P::NoSuccessfulDeployment,
        DeployError::Refused(words) => P::Refused(words),
        DeployError::Login(error) if error.code() != FailureCode::InternalError => {
            P::Image(Box::new(wanted::ImageProblem {
                code: error.code(),
                message: error.to_string(),
                hint: Some(error.hint().to_owned()),
                platforms: Vec::new(),
                retry_after: None,
            }))
        }
        DeployError::Image { error, hint } => P::Image(Box::new(wanted::ImageProblem {
            code: error.code(),
            message: error.to_string(),
            hint: hint.or_else(|| error.hint()),
            platforms: error.platforms().iter().map(ToString::to_string).collect(),
            retry_after: error.retry_after(),
        })),
        DeployError::Store(error) => P::Store(error),
        other => P::Internal(Box::new(other)),
    }
}

fn checked(check: deploy::LoginCheck) -> wanted::LoginCheck {
    use wanted::LoginVerdict as V;
    let deploy::LoginCheck { verdict, at } = check;
    let verdict = match verdict {
        image::Verdict::Accepted => V::Accepted,
        image::Verdict::Rejected { words } => V::Rejected {
            code: FailureCode::CredentialRejected,
            message: words,
            hint: Some(
                "Check the user name, and make a new token: it may have expired or been revoked.".to_owned(),
            ),
        },
        image::Verdict::ScopeMissing { words } => V::Rejected {
            code: FailureCode::CredentialScopeMissing,
            message: words,
            hint: Some(
                "Make a token with the right to read packages or to pull; see docs/registries.md.".to_owned(),
            ),
        },
    };
    wanted::LoginCheck { verdict, at }
}
