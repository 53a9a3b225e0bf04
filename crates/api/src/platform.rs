//! What the handlers ask of the deployment side. The binary implements it over `deploy`; tests bring a double.

use async_trait::async_trait;
use model::git::{BuildSettings, Commit, GitUrl, Revision};
use model::image::Reference;
use model::log::LogLine;
use model::{
    AppId, AppName, CompanyId, CredentialId, Deployment, DeploymentId, GitCredentialId, ProcessId, Timestamp,
    Trigger,
};
use store::{RequestKey, StoreError};

mod image;
mod progress;
mod repository;

pub use image::{ImageProblem, InspectedPlatform, Inspection, LoginCheck, LoginVerdict};
pub use progress::{BuildStep, BuildStepState, LayerProgress, LayerState, Progress};
pub use repository::{DeployKey, Dockerfile, DockerfileOrigin, GitProblem, Repository};

/// Deployments, containers and images as the API sees them. Every call names the company it is for; an
/// implementation looks nothing up without it.
#[async_trait]
pub trait Platform: Send + Sync + 'static {
    /// Queues a deployment and answers at once.
    async fn deploy(
        &self,
        company: CompanyId,
        app: AppId,
        request: DeployRequest,
    ) -> Result<Deployment, PlatformError>;

    /// Queues a deployment of an earlier success: the given one, or the latest before what serves now.
    async fn rollback(
        &self,
        company: CompanyId,
        app: AppId,
        to: Option<DeploymentId>,
        key: Option<RequestKey>,
    ) -> Result<Deployment, PlatformError>;

    /// Queues a deployment of `to` with the image that `from` serves, and answers at once. Nothing is built or
    /// resolved; settings and variables are those of `to`. Both belong to the company.
    async fn promote(
        &self,
        company: CompanyId,
        from: AppId,
        to: AppId,
        key: Option<RequestKey>,
    ) -> Result<Deployment, PlatformError>;

    /// Cancels a deployment that waits or runs.
    async fn cancel(
        &self,
        company: CompanyId,
        app: AppId,
        deployment: DeploymentId,
    ) -> Result<(), PlatformError>;

    /// Stops the application's containers and marks it suspended. Doing it twice is fine.
    async fn suspend(&self, company: CompanyId, app: AppId) -> Result<(), PlatformError>;

    /// Starts a suspended application again; answers before it runs. Doing it twice is fine.
    async fn activate(&self, company: CompanyId, app: AppId) -> Result<(), PlatformError>;

    /// Tells the ingress whether and in which protocol the application's web process is reached now, as the store
    /// says; no container changes. An application that does not serve has nothing to tell.
    async fn exposure_changed(&self, company: CompanyId, app: AppId) -> Result<(), PlatformError>;

    /// Removes the application with everything it has; refused while a deployment runs.
    async fn delete_app(&self, company: CompanyId, app: AppId) -> Result<(), PlatformError>;

    /// Resolves a reference and reads manifest and configuration, no layers.
    async fn inspect(
        &self,
        company: CompanyId,
        reference: &Reference,
        credential: Option<CredentialId>,
    ) -> Result<Inspection, PlatformError>;

    /// Tries a login that is not stored: the secret goes to `host` and that registry's token service only. `host` is
    /// canonical, as [`Reference::host`] gives it. An error says that there was neither a yes nor a no.
    async fn check_login(
        &self,
        company: CompanyId,
        host: &str,
        username: &str,
        secret: &str,
    ) -> Result<LoginCheck, PlatformError>;

    /// Tries a stored login and stores the result, unless the login changed meanwhile.
    async fn verify_credential(
        &self,
        company: CompanyId,
        credential: CredentialId,
    ) -> Result<LoginCheck, PlatformError>;

    /// Starts the same and returns at once; nobody hears of an error.
    fn verify_in_background(&self, company: CompanyId, credential: CredentialId);

    /// Looks into a repository without building it: its branches, the commit, and the Dockerfile that it would be
    /// built with. What the credential cannot be sent to is refused.
    async fn inspect_repository(
        &self,
        company: CompanyId,
        url: &GitUrl,
        credential: Option<GitCredentialId>,
        revision: &Revision,
        settings: &BuildSettings,
    ) -> Result<Repository, PlatformError>;

    /// Makes a key pair for a Git server, and asks the server for its own keys, to be recognised by from then on.
    async fn make_deploy_key(&self, host: &str, comment: &str) -> Result<DeployKey, PlatformError>;

    /// Whether the administrator named this `HOST[:PORT]` as one whose repositories are fetched over plain http.
    fn allows_plain_http(&self, host: &str) -> bool;

    /// What the containers of an application printed, oldest first; of too many lines the newest.
    async fn runtime_logs(
        &self,
        company: CompanyId,
        app: AppId,
        query: &LogQuery,
    ) -> Result<Vec<RuntimeLine>, PlatformError>;

    /// Live steps and layers of a deployment that builds or pulls now.
    fn progress(&self, deployment: DeploymentId) -> Option<Progress>;

    /// How each container of the release that serves is, in the order of their numbers; none when none is looked after.
    fn conditions(&self, app: AppId) -> Vec<InstanceCondition>;

    /// Where an application is reached, such as `http://shop.localhost:8080/`.
    fn url(&self, app: &AppName) -> String;
}

/// How a container that serves is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceCondition {
    /// Its number, from 1.
    pub instance: u16,
    /// `starting`, `running`, `not_ready` or `backing_off`.
    pub state: &'static str,
    /// Whether requests are sent to it.
    pub is_ready: bool,
    /// Starts after the first one.
    pub restarts: u32,
    /// How it ended last, in words.
    pub last_end: Option<String>,
    pub last_end_at: Option<Timestamp>,
    /// When it is started again, while it is `backing_off`.
    pub next_start_at: Option<Timestamp>,
}

/// What to deploy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployRequest {
    /// Full reference for this deployment, checked to be one; `None` is the application's own.
    pub image: Option<String>,
    /// What to build; `None` is the application's own branch. Of an application with a repository only.
    pub revision: Option<Revision>,
    /// What is known of the commit of `revision` already, for people.
    pub commit: Option<Commit>,
    /// Where the branch stood before the push that asks for this: a push is one step from there to its commit.
    pub before: Option<String>,
    /// Roll the last success out again without resolving; a normal deployment when there is none.
    pub restart: bool,
    pub trigger: Trigger,
    /// Under this key it is done once: asked again, the deployment that it started is given.
    pub key: Option<RequestKey>,
}

/// Which lines to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogQuery {
    pub from: Timestamp,
    pub to: Timestamp,
    /// The newest so many lines.
    pub limit: usize,
}

/// A line and the container that printed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeLine {
    pub deployment: DeploymentId,
    pub process: Option<ProcessId>,
    /// The number of the container, from 1, when several run side by side.
    pub instance: Option<u16>,
    pub line: LogLine,
}

/// Why the deployment side did not do it. The words are shown to people.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// No such record in this company.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// It has to wait until the running deployment is over.
    #[error("a deployment of this application is under way")]
    DeploymentInProgress,
    /// There is nothing left to cancel.
    #[error("this deployment is over")]
    DeploymentFinished,
    /// It serves already and can only go forward.
    #[error("this deployment already serves")]
    AlreadyServing,
    /// Nothing to go back to.
    #[error("there is no successful deployment to go back to")]
    NoSuccessfulDeployment,
    /// The application's state does not allow it; what and what to do instead.
    #[error("{0}")]
    Refused(String),
    /// The image cannot be used.
    #[error("{}", .0.message)]
    Image(Box<ImageProblem>),
    /// The repository cannot be used.
    #[error("{}", .0.message)]
    Git(Box<GitProblem>),
    /// The database did not do it, for a reason that may be the client's.
    #[error(transparent)]
    Store(StoreError),
    /// A fault of the installation. Its text goes to the log, not to the client.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}
