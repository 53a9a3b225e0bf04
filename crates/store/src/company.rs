//! Rows of one company.
use model::access::{ApiKey, Company};
use model::project::Project;
use model::*;

use crate::{AuditEntry, Listed, Page, Store, StoreError, TokenHash};

type Result<T> = std::result::Result<T, StoreError>;

/// The rows of one company, and no others.
#[derive(Clone)]
pub struct CompanyStore {
    pub(crate) store: Store,
    pub(crate) company: CompanyId,
}

/// A line of a deployment's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentLogLine {
    /// Grows from line to line.
    pub id: i64,
    pub at: Timestamp,
    /// `DEBUG`, `INFO`, `WARN`, `ERROR`.
    pub severity: String,
    pub text: String,
}

/// Which lines to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeploymentLogQuery {
    pub from: Option<Timestamp>,
    /// Included.
    pub to: Option<Timestamp>,
    /// Only lines that hold this text, upper and lower case alike.
    pub text: Option<String>,
    /// The newest so many lines.
    pub limit: u32,
}

/// What a rotation puts in place of the token.
#[derive(Clone)]
pub struct NewToken {
    pub hash: TokenHash,
    pub masked: String,
    /// Until when the old token is good too; `None`: it is not.
    pub old_valid_until: Option<Timestamp>,
}

macro_rules! stubs { ($($(#[$m:meta])* fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty;)*) => {
    impl CompanyStore { $( $(#[$m])* pub async fn $name(&self, $($arg: $ty),*) -> Result<$ret> { $(let _ = $arg;)* unimplemented!() } )* }
}}

stubs! {
    fn company() -> Company;

    fn create_app(app: &App, web: &Process) -> ();
    fn app(id: AppId) -> App;
    fn app_by_name(name: &AppName) -> App;
    fn apps(page: Page) -> Listed<App>;
    /// display name, project, source, kept, updated_at
    fn update_app(app: &App) -> ();
    fn set_suspended(id: AppId, suspended: bool) -> ();
    fn delete_app(id: AppId) -> ();

    fn processes(app: AppId) -> Vec<Process>;
    fn process(app: AppId, id: ProcessId) -> Process;
    fn web_process(app: AppId) -> Process;
    fn update_process(process: &Process) -> ();

    fn env_vars(app: AppId, page: Page) -> Listed<EnvVar>;
    fn all_env_vars(app: AppId) -> Vec<EnvVar>;
    fn env_var(app: AppId, id: EnvVarId) -> EnvVar;
    fn create_env_var(var: &EnvVar) -> ();
    fn update_env_var(var: &EnvVar) -> ();
    fn delete_env_var(app: AppId, id: EnvVarId) -> ();

    fn enqueue(deployment: &Deployment) -> ();
    fn deployment(app: AppId, id: DeploymentId) -> Deployment;
    /// newest first
    fn deployments(app: AppId, page: Page) -> Listed<Deployment>;
    fn save_deployment(deployment: &Deployment) -> ();
    fn resolved(id: DeploymentId, release: &Release) -> ();
    fn release(id: ReleaseId) -> Release;
    fn switch(id: DeploymentId) -> Option<DeploymentId>;
    fn next_unfinished(app: AppId) -> Option<Deployment>;
    fn last_successful(app: AppId, before: Option<DeploymentId>) -> Option<Deployment>;
    fn append_deployment_log(id: DeploymentId, severity: &str, text: &str) -> ();
    /// oldest line first
    fn deployment_log(app: AppId, id: DeploymentId, query: &DeploymentLogQuery) -> Vec<DeploymentLogLine>;

    /// makes a unique system name
    fn create_project(display_name: &str) -> Project;
    fn project(id: ProjectId) -> Project;
    /// by name
    fn projects(page: Page) -> Listed<Project>;
    fn rename_project(id: ProjectId, display_name: &str) -> Project;
    fn delete_project(id: ProjectId) -> ();
    /// its services
    fn project_apps(id: ProjectId) -> Vec<App>;
    fn add_to_project(id: ProjectId, app: AppId) -> ();
    /// NotFound when the app is not in it
    fn remove_from_project(id: ProjectId, app: AppId) -> ();

    fn create_api_key(key: &ApiKey, hash: TokenHash) -> ();
    fn api_key(id: ApiKeyId) -> ApiKey;
    /// newest first
    fn api_keys(page: Page) -> Listed<ApiKey>;
    /// name, roles, capabilities, updated_at
    fn update_api_key(key: &ApiKey) -> ();
    fn set_api_key_enabled(id: ApiKeyId, enabled: bool) -> ();
    fn rotate_api_key(id: ApiKeyId, token: NewToken) -> ();
    fn delete_api_key(id: ApiKeyId) -> ();

    /// newest first
    fn audit(page: Page) -> Listed<AuditEntry>;
}
