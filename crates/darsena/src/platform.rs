//! The seam between the API and deployments: the API's trait, answered by `deploy`.

use api::platform as wanted;
use async_trait::async_trait;
use model::git::{BuildSettings, GitUrl, Revision};
use model::image::{Digest, Reference};
use model::{AppId, AppName, CompanyId, CredentialId, Deployment, DeploymentId, GitCredentialId};

use crate::translated;

/// `deploy` as the API wants to see it.
pub struct Glue {
    pub platform: deploy::Platform,
    /// Git servers that the administrator named as ones without https.
    pub insecure_git: Vec<String>,
}

#[async_trait]
impl wanted::Platform for Glue {
    async fn deploy(
        &self,
        company: CompanyId,
        app: AppId,
        request: wanted::DeployRequest,
    ) -> Result<Deployment, wanted::PlatformError> {
        let wanted::DeployRequest { image, revision, commit, before, restart, trigger, key } = request;
        let request = deploy::Request { reference: image, revision, commit, before, restart, trigger, key };
        self.platform.deploy(company, app, request).await.map_err(translated::error)
    }

    async fn rollback(
        &self,
        company: CompanyId,
        app: AppId,
        to: Option<DeploymentId>,
        key: Option<store::RequestKey>,
    ) -> Result<Deployment, wanted::PlatformError> {
        self.platform.rollback(company, app, to, key).await.map_err(translated::error)
    }

    async fn promote(
        &self,
        company: CompanyId,
        from: AppId,
        to: AppId,
        key: Option<store::RequestKey>,
    ) -> Result<Deployment, wanted::PlatformError> {
        self.platform.promote(company, from, to, key).await.map_err(translated::error)
    }

    async fn cancel(
        &self,
        company: CompanyId,
        app: AppId,
        id: DeploymentId,
    ) -> Result<(), wanted::PlatformError> {
        self.platform.cancel(company, app, id).await.map_err(translated::error)
    }

    async fn suspend(&self, company: CompanyId, app: AppId) -> Result<(), wanted::PlatformError> {
        self.platform.suspend(company, app).await.map_err(translated::error)
    }

    async fn activate(&self, company: CompanyId, app: AppId) -> Result<(), wanted::PlatformError> {
        self.platform.activate(company, app).await.map_err(translated::error)
    }

    async fn exposure_changed(&self, company: CompanyId, app: AppId) -> Result<(), wanted::PlatformError> {
        self.platform.exposure_changed(company, app).await.map_err(translated::error)
    }

    async fn delete_app(&self, company: CompanyId, app: AppId) -> Result<(), wanted::PlatformError> {
        self.platform.delete_app(company, app).await.map_err(translated::error)
    }

    async fn inspect(
        &self,
        company: CompanyId,
        reference: &Reference,
        credential: Option<CredentialId>,
    ) -> Result<wanted::Inspection, wanted::PlatformError> {
        let resolved =
            self.platform.inspect(company, reference, credential).await.map_err(translated::error)?;
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
        self.platform
            .check_login(company, host, username, secret)
            .await
            .map(translated::login_check)
            .map_err(translated::error)
    }

    async fn verify_credential(
        &self,
        company: CompanyId,
        credential: CredentialId,
    ) -> Result<wanted::LoginCheck, wanted::PlatformError> {
        self.platform
            .verify_credential(company, credential)
            .await
            .map(translated::login_check)
            .map_err(translated::error)
    }

    fn verify_in_background(&self, company: CompanyId, credential: CredentialId) {
        let platform = self.platform.clone();
        tokio::spawn(async move {
            if let Err(error) = platform.verify_credential(company, credential).await {
                tracing::info!(%credential, %error, "its registry said neither yes nor no");
            }
        });
    }

    async fn inspect_repository(
        &self,
        company: CompanyId,
        url: &GitUrl,
        credential: Option<GitCredentialId>,
        revision: &Revision,
        settings: &BuildSettings,
    ) -> Result<wanted::Repository, wanted::PlatformError> {
        let found = self.platform.inspect_repository(company, url, credential, revision, settings).await;
        found.map(translated::repository).map_err(translated::error)
    }

    async fn make_deploy_key(
        &self,
        host: &str,
        comment: &str,
    ) -> Result<wanted::DeployKey, wanted::PlatformError> {
        let deploy::DeployKey { keys, host_keys } =
            self.platform.make_deploy_key(host, comment).await.map_err(translated::error)?;
        Ok(wanted::DeployKey {
            private_key: keys.private_key.expose().to_owned(),
            public_key: keys.public_key,
            host_keys,
        })
    }

    fn allows_plain_http(&self, host: &str) -> bool {
        is_named(&self.insecure_git, host)
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
        let lines = self.platform.runtime_logs(company, app, &query).await.map_err(translated::error)?;
        let several = self.platform.conditions(app).len() > 1;
        let line = |line: deploy::RuntimeLine| wanted::RuntimeLine {
            deployment: line.deployment,
            process: None,
            instance: several.then_some(line.instance),
            line: line.line,
        };
        Ok(lines.into_iter().map(line).collect())
    }

    fn progress(&self, deployment: DeploymentId) -> Option<wanted::Progress> {
        let (steps, layers) = (self.platform.build_steps(deployment), self.platform.progress(deployment));
        let is_known = layers.is_some() || !steps.is_empty();
        is_known.then(|| translated::progress(steps, layers.unwrap_or_default()))
    }

    fn conditions(&self, app: AppId) -> Vec<wanted::InstanceCondition> {
        (1..).zip(self.platform.conditions(app)).map(translated::instance).collect()
    }

    fn url(&self, app: &AppName) -> String {
        self.platform.url(app)
    }
}

/// Whether the administrator named a server without https. A name may have the port 80, which a host is said without.
fn is_named(list: &[String], host: &str) -> bool {
    let host_of = |named: &str| {
        let named = named.trim().to_ascii_lowercase();
        named.strip_suffix(":80").map(str::to_owned).unwrap_or(named)
    };
    list.iter().any(|named| host_of(named) == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_with_and_without_the_usual_port() {
        let list = ["git.lan:80", " Plain.lan ", "git.other:3000", "[fd00::1]:80"].map(str::to_owned);
        for url in [
            "http://git.lan/x",
            "http://GIT.lan:80/x",
            "http://plain.lan/x",
            "http://git.other:3000/x",
            "http://[fd00::1]/x",
        ] {
            assert!(is_named(&list, GitUrl::parse(url).unwrap().host()), "{url}");
        }
        for url in [
            "http://git.lan:8080/x",
            "http://git.other/x",
            "http://git.other:80/x",
            "http://plain.lan:3000/x",
        ] {
            assert!(!is_named(&list, GitUrl::parse(url).unwrap().host()), "{url}");
        }
    }
}
