//! The deployment side of the tests: records go to the real store, nothing runs.

use std::sync::Mutex;
use std::time::Duration;

use api::platform::{
    BuildStep, BuildStepState, DeployKey, DeployRequest, Dockerfile, DockerfileOrigin, GitProblem,
    ImageProblem, InspectedPlatform, Inspection, InstanceCondition, LayerProgress, LayerState, LogQuery,
    LoginCheck, LoginVerdict, Platform, PlatformError, Progress, Repository, RuntimeLine,
};
use async_trait::async_trait;
use model::deployment::State;
use model::git::{BuildSettings, Commit, GitOrder, GitUrl, Recipe, Revision};
use model::image::{Digest, ExposedPort, ImageConfig, Platform as ImagePlatform, Reference};
use model::log::{LogLine, Stream};
use model::{
    App, AppId, AppName, Command, CompanyId, CredentialId, CredentialStatus, Deployment, DeploymentId,
    Failure, FailureCode, GitCredentialId, Limits, Phase, Probe, Release, ReleaseId, Timestamp, Trigger,
};
use store::{RequestKey, Store, StoreError};
use tokio::sync::Semaphore;

/// Address, credential, revision and settings of a look into a repository.
type Look = (String, Option<GitCredentialId>, Revision, BuildSettings);

pub struct Double {
    store: Store,
    /// What the applications printed.
    pub lines: Mutex<Vec<(Timestamp, Stream, String)>>,
    /// What was asked to be deployed.
    pub requests: Mutex<Vec<DeployRequest>>,
    /// Which images were looked at, with which credential.
    pub inspected: Mutex<Vec<(String, Option<CredentialId>)>>,
    /// Which repositories were looked into, how.
    pub looked: Mutex<Vec<Look>>,
    /// Applications whose exposure changed.
    pub exposed: Mutex<Vec<AppId>>,
    /// Logins that were tried before they were saved: host, user name and secret.
    pub logins: Mutex<Vec<(String, String, String)>>,
    /// Credentials that were to be tried in the background.
    pub background: Mutex<Vec<CredentialId>>,
    /// How many tries of the secret `waits` may end.
    pub answers: Semaphore,
}

impl Double {
    pub fn new(store: Store) -> Self {
        Self {
            store,
            lines: Mutex::default(),
            requests: Mutex::default(),
            inspected: Mutex::default(),
            looked: Mutex::default(),
            exposed: Mutex::default(),
            logins: Mutex::default(),
            background: Mutex::default(),
            answers: Semaphore::new(0),
        }
    }

    /// Brings a deployment to where it serves.
    pub async fn finish(&self, company: CompanyId, app: AppId, id: DeploymentId) {
        let rows = self.store.company(company);
        let now = Timestamp::now();
        let mut record = rows.deployment(app, id).await.expect("a deployment");
        record.started_at = Some(now);
        record.state = State::Resolving;
        rows.save_deployment(&record).await.expect("saved");
        let release = release(&record);
        rows.resolved(id, &release).await.expect("resolved");
        let mut record = rows.deployment(app, id).await.expect("a deployment");
        record.state = State::Switching;
        rows.save_deployment(&record).await.expect("saved");
        rows.switch(id).await.expect("switched");
        let mut record = rows.deployment(app, id).await.expect("a deployment");
        record.state = State::Done;
        record.finished_at = Some(now);
        rows.save_deployment(&record).await.expect("saved");
    }

    /// Puts a deployment into a state.
    pub async fn put(&self, company: CompanyId, app: AppId, id: DeploymentId, state: State) {
        let rows = self.store.company(company);
        let mut record = rows.deployment(app, id).await.expect("a deployment");
        record.started_at = Some(Timestamp::now());
        record.finished_at = state.is_final().then(Timestamp::now);
        record.state = state;
        rows.save_deployment(&record).await.expect("saved");
    }

    async fn app(&self, company: CompanyId, app: AppId) -> Result<App, PlatformError> {
        self.store.company(company).app(app).await.map_err(explain)
    }

    async fn enqueue(
        &self,
        app: &App,
        reference: String,
        git: Option<GitOrder>,
        trigger: Trigger,
        key: Option<RequestKey>,
    ) -> Result<Deployment, PlatformError> {
        let now = Timestamp::now();
        let record = Deployment {
            id: DeploymentId::new(),
            app: app.id,
            company: app.company,
            trigger,
            reference,
            git,
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
        self.store.company(app.company).enqueue(&record, key.as_ref()).await.map_err(explain)
    }
}

/// A failure for a deployment to end with.
pub fn failure() -> Failure {
    Failure {
        exit_code: Some(3),
        log_tail: vec!["cannot open /data".into()],
        ..Failure::new(
            Phase::Start,
            FailureCode::ExitedEarly,
            "The container ended with 3.",
            Some("Read its log."),
        )
    }
}

pub fn digest(byte: u8) -> Digest {
    Digest::from_sha256([byte; 32])
}

fn release(record: &Deployment) -> Release {
    Release {
        id: ReleaseId::new(),
        app: record.app,
        company: record.company,
        reference: record.reference.clone(),
        digest: digest(1),
        manifest: digest(2),
        credential: None,
        commit: None,
        config: ImageConfig::default(),
        env: Vec::new(),
        command: Command::Image,
        port: 8080,
        instances: 1,
        probe: Probe::DEFAULT,
        liveness: None,
        limits: Limits { memory_mb: 512, cpu_millis: 500, pids: 512 },
        created_at: Timestamp::now(),
    }
}

fn explain(error: StoreError) -> PlatformError {
    match error {
        StoreError::NotFound => PlatformError::NotFound("application"),
        StoreError::DeploymentInProgress => PlatformError::DeploymentInProgress,
        other => PlatformError::Store(other),
    }
}

fn problem(code: FailureCode) -> PlatformError {
    PlatformError::Image(Box::new(ImageProblem {
        code,
        message: format!("The image cannot be used: {}.", code.as_str()),
        hint: Some("Look at it.".into()),
        platforms: vec!["linux/arm64".into()],
        retry_after: (code == FailureCode::RateLimited).then(|| Duration::from_millis(90_500)),
    }))
}

#[async_trait]
impl Platform for Double {
    async fn deploy(
        &self,
        company: CompanyId,
        app: AppId,
        request: DeployRequest,
    ) -> Result<Deployment, PlatformError> {
        let app = self.app(company, app).await?;
        self.requests.lock().expect("the list").push(request.clone());
        let reference =
            request.image.unwrap_or_else(|| app.source.image_reference().unwrap_or_default().to_owned());
        let git = app.source.git().map(|git| GitOrder {
            url: git.url.clone(),
            revision: request.revision.unwrap_or(Revision::Default),
            commit: request.commit,
            before: request.before,
        });
        self.enqueue(&app, reference, git, request.trigger, request.key).await
    }

    async fn promote(
        &self,
        company: CompanyId,
        from: AppId,
        to: AppId,
        key: Option<RequestKey>,
    ) -> Result<Deployment, PlatformError> {
        let (from, to) = (self.app(company, from).await?, self.app(company, to).await?);
        let serving = from.serving.ok_or(PlatformError::NoSuccessfulDeployment)?;
        let served = self.store.company(company).deployment(from.id, serving).await.map_err(explain)?;
        self.enqueue(&to, served.reference, None, Trigger::Promote, key).await
    }

    async fn rollback(
        &self,
        company: CompanyId,
        app: AppId,
        to: Option<DeploymentId>,
        key: Option<RequestKey>,
    ) -> Result<Deployment, PlatformError> {
        let app = self.app(company, app).await?;
        let rows = self.store.company(company);
        let target = match to {
            Some(id) => Some(rows.deployment(app.id, id).await.map_err(explain)?),
            None => rows.last_successful(app.id, app.serving).await.map_err(explain)?,
        };
        let target = target.ok_or(PlatformError::NoSuccessfulDeployment)?;
        self.enqueue(&app, target.reference, None, Trigger::RollbackDeployment, key).await
    }

    async fn cancel(&self, company: CompanyId, app: AppId, id: DeploymentId) -> Result<(), PlatformError> {
        let record = self.store.company(company).deployment(app, id).await.map_err(explain)?;
        match record.state {
            State::Waiting => self.put(company, app, id, State::Skipped).await,
            state if state.is_final() => return Err(PlatformError::DeploymentFinished),
            _ => {
                let failure = Failure { code: FailureCode::Cancelled, ..failure() };
                self.put(company, app, id, State::Failed { failure }).await;
            }
        }
        Ok(())
    }

    async fn suspend(&self, company: CompanyId, app: AppId) -> Result<(), PlatformError> {
        self.store.company(company).set_suspended(app, true).await.map_err(explain)
    }

    async fn activate(&self, company: CompanyId, app: AppId) -> Result<(), PlatformError> {
        self.store.company(company).set_suspended(app, false).await.map_err(explain)
    }

    async fn exposure_changed(&self, _company: CompanyId, app: AppId) -> Result<(), PlatformError> {
        self.exposed.lock().expect("the list").push(app);
        Ok(())
    }

    async fn delete_app(&self, company: CompanyId, app: AppId) -> Result<(), PlatformError> {
        self.store.company(company).delete_app(app).await.map_err(explain)
    }

    /// The last part of the repository says what is wrong with the image.
    async fn inspect(
        &self,
        _company: CompanyId,
        reference: &Reference,
        credential: Option<CredentialId>,
    ) -> Result<Inspection, PlatformError> {
        use FailureCode as C;
        self.inspected.lock().expect("the list").push((reference.to_string(), credential));
        let codes = [
            C::CredentialHostMismatch,
            C::RegistryUnreachable,
            C::RegistryTlsInvalid,
            C::RegistryTimeout,
            C::RegistryError,
            C::RateLimited,
            C::CredentialRejected,
            C::CredentialScopeMissing,
            C::RegistryUnauthorized,
            C::ImageAccessDenied,
            C::ImageNotFound,
            C::TagNotFound,
            C::DigestNotFound,
            C::ManifestInvalid,
            C::ManifestUnsupported,
            C::ConfigInvalid,
            C::PlatformMissing,
        ];
        match reference.repository() {
            "panics" => panic!("canary-in-a-panic"),
            "broken" => Err(PlatformError::Internal("canary-in-an-error".into())),
            "hangs" => std::future::pending().await,
            name => match codes.into_iter().find(|code| code.as_str() == name) {
                Some(code) => Err(problem(code)),
                None => Ok(inspection()),
            },
        }
    }

    async fn check_login(
        &self,
        _company: CompanyId,
        host: &str,
        username: &str,
        secret: &str,
    ) -> Result<LoginCheck, PlatformError> {
        self.logins.lock().expect("the list").push((host.to_owned(), username.to_owned(), secret.to_owned()));
        if secret == "waits" {
            self.answers.acquire().await.expect("it stays open").forget();
        }
        login(username).await
    }

    async fn verify_credential(
        &self,
        company: CompanyId,
        credential: CredentialId,
    ) -> Result<LoginCheck, PlatformError> {
        let rows = self.store.company(company);
        let record = rows.credential(credential).await.map_err(explain)?;
        let check = login(&record.username).await?;
        let status = match check.verdict {
            LoginVerdict::Accepted => CredentialStatus::Valid,
            LoginVerdict::Rejected { .. } => CredentialStatus::Rejected,
        };
        rows.credential_checked(credential, status, check.at, record.updated_at).await.map_err(explain)?;
        Ok(check)
    }

    fn verify_in_background(&self, _company: CompanyId, credential: CredentialId) {
        self.background.lock().expect("the list").push(credential);
    }

    /// The last part of the path says what is wrong with the repository.
    async fn inspect_repository(
        &self,
        _company: CompanyId,
        url: &GitUrl,
        credential: Option<GitCredentialId>,
        revision: &Revision,
        settings: &BuildSettings,
    ) -> Result<Repository, PlatformError> {
        use FailureCode as C;
        self.looked.lock().expect("the list").push((
            url.to_string(),
            credential,
            revision.clone(),
            settings.clone(),
        ));
        let codes = [
            C::GitUnreachable,
            C::GitUnauthorized,
            C::GitCredentialMismatch,
            C::GitHostKeyChanged,
            C::RepositoryNotFound,
            C::RevisionNotFound,
            C::RepositoryTooLarge,
            C::RepositoryInvalid,
            C::DockerfileNotFound,
            C::DockerfileInvalid,
            C::Timeout,
            C::DiskFull,
        ];
        if url.name() == "hangs" {
            std::future::pending::<()>().await;
        }
        match codes.into_iter().find(|code| code.as_str() == url.name()) {
            Some(code) => Err(git_problem(code)),
            None => Ok(repository(settings)),
        }
    }

    async fn make_deploy_key(&self, host: &str, comment: &str) -> Result<DeployKey, PlatformError> {
        if host == "unreachable.test" {
            return Err(git_problem(FailureCode::GitUnreachable));
        }
        Ok(DeployKey {
            private_key: "-----BEGIN OPENSSH PRIVATE KEY-----\ncanary-secret\n".into(),
            public_key: format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 {comment}"),
            host_keys: vec!["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHBhbg==".into()],
        })
    }

    fn allows_plain_http(&self, host: &str) -> bool {
        host == "127.0.0.1:3000"
    }

    async fn runtime_logs(
        &self,
        company: CompanyId,
        app: AppId,
        query: &LogQuery,
    ) -> Result<Vec<RuntimeLine>, PlatformError> {
        let app = self.app(company, app).await?;
        let Some(deployment) = app.serving else { return Ok(Vec::new()) };
        let lines = self.lines.lock().expect("the list");
        let is_asked = |line: &&(Timestamp, Stream, String)| line.0 >= query.from && line.0 <= query.to;
        let mut asked: Vec<_> = lines
            .iter()
            .filter(is_asked)
            .map(|(at, stream, text)| RuntimeLine {
                deployment,
                process: None,
                instance: Some(2),
                line: LogLine { at: *at, stream: *stream, text: text.clone() },
            })
            .collect();
        Ok(asked.split_off(asked.len().saturating_sub(query.limit)))
    }

    fn progress(&self, _deployment: DeploymentId) -> Option<Progress> {
        let layer = LayerProgress { digest: digest(7), done: 10, total: 20, state: LayerState::Pulling };
        let step = BuildStep {
            number: 2,
            of: 3,
            stage: "build".into(),
            text: "RUN make".into(),
            state: BuildStepState::Running,
            started_at: Timestamp::UNIX_EPOCH,
            finished_at: None,
        };
        Some(Progress { steps: vec![step], layers: vec![layer] })
    }

    fn conditions(&self, _app: AppId) -> Vec<InstanceCondition> {
        let end = Some(Timestamp::UNIX_EPOCH);
        let first = InstanceCondition {
            instance: 1,
            state: "running",
            is_ready: true,
            restarts: 0,
            last_end: None,
            last_end_at: None,
            next_start_at: None,
        };
        let second = InstanceCondition {
            instance: 2,
            state: "backing_off",
            is_ready: false,
            restarts: 2,
            last_end: Some("code 3".to_owned()),
            last_end_at: end,
            next_start_at: end,
        };
        vec![first, second]
    }

    fn url(&self, app: &AppName) -> String {
        format!("http://{app}.localhost:8080/")
    }
}

fn git_problem(code: FailureCode) -> PlatformError {
    PlatformError::Git(Box::new(GitProblem {
        code,
        message: format!("the repository cannot be used: {}", code.as_str()),
        hint: Some("Look at it.".into()),
    }))
}

fn repository(settings: &BuildSettings) -> Repository {
    let (origin, text) = match &settings.recipe {
        Recipe::Given(text) => (DockerfileOrigin::Given, text.clone()),
        Recipe::Made => (DockerfileOrigin::Made, "FROM node".to_owned()),
        Recipe::Found => (DockerfileOrigin::Found, "FROM scratch".to_owned()),
    };
    Repository {
        default_branch: Some("main".into()),
        branches: (0..150).map(|number| format!("branch-{number}")).collect(),
        commit: Commit {
            id: "1".repeat(40),
            branch: Some("main".into()),
            message: "More bread".into(),
            author: "Ada".into(),
        },
        dockerfile: Dockerfile { text, origin, detail: None },
    }
}

/// The user name says what the registry answers.
async fn login(username: &str) -> Result<LoginCheck, PlatformError> {
    use FailureCode as C;
    let errors =
        [C::RegistryUnreachable, C::RegistryTlsInvalid, C::RegistryTimeout, C::RegistryError, C::RateLimited];
    let noes = [C::CredentialRejected, C::CredentialScopeMissing];
    if username == "hangs" {
        std::future::pending::<()>().await;
    }
    if let Some(code) = errors.into_iter().find(|code| code.as_str() == username) {
        return Err(problem(code));
    }
    let verdict = match noes.into_iter().find(|code| code.as_str() == username) {
        None => LoginVerdict::Accepted,
        Some(code) => LoginVerdict::Rejected {
            code,
            message: "the registry refused the login: denied".into(),
            hint: Some("Make a new token.".into()),
        },
    };
    Ok(LoginCheck { verdict, at: Timestamp::now() })
}

fn inspection() -> Inspection {
    let platform = |architecture: &str, variant: Option<&str>| ImagePlatform {
        os: "linux".into(),
        architecture: architecture.into(),
        variant: variant.map(str::to_owned),
    };
    let entry = |platform, byte| InspectedPlatform { platform, manifest: digest(byte), size: None };
    Inspection {
        digest: digest(3),
        media_type: "application/vnd.oci.image.index.v1+json".into(),
        platforms: vec![entry(platform("arm64", Some("v8")), 4), entry(platform("amd64", None), 5)],
        manifest: digest(5),
        config: ImageConfig {
            env: vec![("PATH".into(), "/bin".into()), ("SECRET".into(), "canary-in-an-image".into())],
            entrypoint: vec!["/bin/server".into()],
            exposed_ports: vec![ExposedPort { port: 80, protocol: "tcp".into() }],
            labels: [("org.opencontainers.image.licenses".to_owned(), "MIT OR Apache-2.0".to_owned())].into(),
            created: Some("2026-01-01T00:00:00Z".into()),
            ..ImageConfig::default()
        },
        size: 1234,
    }
}
