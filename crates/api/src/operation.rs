//! The authorization table: every operation that the server has, and what it takes to call it.
//!
//! The routes are built from this table, so there is no route outside it. A test compares it with the API file,
//! another calls every row as every kind of caller.

use futures_util::future::BoxFuture;
use http::Method;

use crate::call::{Answer, Call};
use crate::error::ApiError;
use crate::permission::Permission;
use crate::routes::{
    api_keys, applications, deployment_hook, deployments, docker_registries, env_vars, git_credentials,
    health, images, logs, processes, projects, push_webhook, repositories, resources, setup,
};

/// One row.
pub struct Operation {
    /// `operationId` of the API file.
    pub id: &'static str,
    pub method: Method,
    /// Below `/v3`.
    pub path: &'static str,
    pub needs: Needs,
    /// Darsena's own and not in the API file.
    pub is_extension: bool,
    pub run: Handler,
}

/// What a handler is: it never sees a request that its row does not allow.
pub type Handler = fn(Call) -> BoxFuture<'static, Result<Answer, ApiError>>;

/// What a caller must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Not even a key.
    Nothing,
    /// No key, but a secret of the record `{id}`, which the handler holds against what the request shows.
    Secret,
    /// A valid key, whatever it may do.
    AnyKey,
    /// This permission: for the record `{id}` of the path; for every record when the operation makes one; for
    /// at least one when it lists them, and then the list holds those only.
    Permission(Permission),
}

/// The largest usual body.
pub const MIB: usize = 1024 * 1024;

impl Operation {
    /// Whether it can change something.
    pub fn is_write(&self) -> bool {
        self.method != Method::GET
    }

    /// The largest body that is read. What a Git server says of a push is long when many files changed: GitHub sends up
    /// to 25 MB (docs.github.com, "Webhook events and payloads").
    pub fn most_body_bytes(&self) -> usize {
        match self.id {
            "receivePush" => 25 * MIB,
            _ => MIB,
        }
    }
}

macro_rules! row {
    ($id:ident $method:ident $path:literal $needs:ident => $module:ident::$handler:ident) => {
        row!(@ $id $method $path Needs::Permission(Permission::$needs), $module::$handler, false)
    };
    ($id:ident $method:ident $path:literal (any key) => $module:ident::$handler:ident) => {
        row!(@ $id $method $path Needs::AnyKey, $module::$handler, false)
    };
    ($id:ident $method:ident $path:literal (secret) => $module:ident::$handler:ident) => {
        row!(@ $id $method $path Needs::Secret, $module::$handler, false)
    };
    ($id:ident $method:ident $path:literal (nothing, extension) => $module:ident::$handler:ident) => {
        row!(@ $id $method $path Needs::Nothing, $module::$handler, true)
    };
    (@ $id:ident $method:ident $path:literal $needs:expr, $handler:path, $extension:literal) => {
        Operation {
            id: stringify!($id),
            method: Method::$method,
            path: $path,
            needs: $needs,
            is_extension: $extension,
            run: |call| Box::pin($handler(call)),
        }
    };
}

#[rustfmt::skip]
pub static OPERATIONS: &[Operation] = &[
    row!(listApplications GET "/applications" AppRead => applications::list),
    row!(createApplication POST "/applications" AppCreate => applications::create),
    row!(getApplication GET "/applications/{id}" AppRead => applications::get),
    row!(updateApplication PATCH "/applications/{id}" AppUpdate => applications::update),
    row!(deleteApplication DELETE "/applications/{id}" AppDelete => applications::delete),
    row!(activateApplication POST "/applications/{id}/activate" AppDeploy => applications::activate),
    row!(suspendApplication POST "/applications/{id}/suspend" AppDeploy => applications::suspend),

    row!(listDeployments GET "/applications/{id}/deployments" AppRead => deployments::list),
    row!(triggerDeployment POST "/applications/{id}/deployments" AppDeploy => deployments::trigger),
    row!(rollbackDeployment POST "/applications/{id}/deployments/rollback" AppDeploy => deployments::rollback),
    row!(promoteApplication POST "/applications/{id}/promote" AppDeploy => deployments::promote),
    row!(getDeployment GET "/applications/{id}/deployments/{deployment_id}" AppRead => deployments::get),
    row!(cancelDeployment POST "/applications/{id}/deployments/{deployment_id}/cancel" AppDeploy => deployments::cancel),
    row!(getDeploymentLogs GET "/applications/{id}/deployments/{deployment_id}/logs" AppRead => logs::deployment),

    row!(getDeploymentHook GET "/applications/{id}/deployment-hook" AppDeploy => deployment_hook::get),
    row!(enableDeploymentHook POST "/applications/{id}/deployment-hook" AppDeploy => deployment_hook::enable),
    row!(regenerateDeploymentHook PUT "/applications/{id}/deployment-hook" AppDeploy => deployment_hook::regenerate),
    row!(disableDeploymentHook DELETE "/applications/{id}/deployment-hook" AppDeploy => deployment_hook::disable),
    row!(callDeploymentHook POST "/apps/{id}/deploy/{secret}" (secret) => deployment_hook::call),

    row!(getPushWebhook GET "/applications/{id}/push-webhook" AppRead => push_webhook::get),
    row!(enablePushWebhook POST "/applications/{id}/push-webhook" AppDeploy => push_webhook::enable),
    row!(regeneratePushWebhook PUT "/applications/{id}/push-webhook" AppDeploy => push_webhook::regenerate),
    row!(disablePushWebhook DELETE "/applications/{id}/push-webhook" AppDeploy => push_webhook::disable),
    row!(receivePush POST "/hooks/push/{id}" (secret) => push_webhook::receive),

    row!(listProcesses GET "/applications/{id}/processes" AppRead => processes::list),
    row!(getProcess GET "/applications/{id}/processes/{process_id}" AppRead => processes::get),
    row!(updateProcess PATCH "/applications/{id}/processes/{process_id}" AppUpdate => processes::update),

    row!(listEnvVars GET "/applications/{id}/env-vars" EnvVarRead => env_vars::list),
    row!(createEnvVar POST "/applications/{id}/env-vars" EnvVarUpdate => env_vars::create),
    row!(updateEnvVar PUT "/applications/{id}/env-vars/{env_var_id}" EnvVarUpdate => env_vars::update),
    row!(deleteEnvVar DELETE "/applications/{id}/env-vars/{env_var_id}" EnvVarUpdate => env_vars::delete),

    row!(getRuntimeLogs GET "/applications/{id}/runtime-logs" AppRead => logs::runtime),

    row!(listDockerRegistries GET "/docker-registries" CredentialList => docker_registries::list),
    row!(createDockerRegistry POST "/docker-registries" CredentialCreate => docker_registries::create),
    row!(getDockerRegistry GET "/docker-registries/{id}" CredentialList => docker_registries::get),
    row!(updateDockerRegistry PATCH "/docker-registries/{id}" CredentialUpdate => docker_registries::update),
    row!(deleteDockerRegistry DELETE "/docker-registries/{id}" CredentialDelete => docker_registries::delete),
    row!(verifyDockerRegistry POST "/docker-registries/{id}/verify" CredentialUpdate => docker_registries::verify),

    row!(listGitCredentials GET "/git-credentials" GitCredentialList => git_credentials::list),
    row!(createGitCredential POST "/git-credentials" GitCredentialCreate => git_credentials::create),
    row!(getGitCredential GET "/git-credentials/{id}" GitCredentialList => git_credentials::get),
    row!(updateGitCredential PATCH "/git-credentials/{id}" GitCredentialUpdate => git_credentials::update),
    row!(deleteGitCredential DELETE "/git-credentials/{id}" GitCredentialDelete => git_credentials::delete),

    row!(listGitProviders GET "/git/providers" (any key) => repositories::providers),
    row!(inspectRepository POST "/git/inspect" RepositoryInspect => repositories::inspect),

    row!(inspectImage POST "/images/inspect" ImageInspect => images::inspect),

    row!(listProjects GET "/projects" ProjectRead => projects::list),
    row!(createProject POST "/projects" ProjectCreate => projects::create),
    row!(getProject GET "/projects/{id}" ProjectRead => projects::get),
    row!(updateProject PATCH "/projects/{id}" ProjectUpdate => projects::update),
    row!(deleteProject DELETE "/projects/{id}" ProjectDelete => projects::delete),
    row!(addProjectService POST "/projects/{id}/services" ProjectUpdate => projects::add_service),
    row!(removeProjectService DELETE "/projects/{id}/services/{service_id}" ProjectUpdate => projects::remove_service),

    row!(listApiKeys GET "/api-keys" ApiKeyRead => api_keys::list),
    row!(createApiKey POST "/api-keys" ApiKeyCreate => api_keys::create),
    row!(validateApiKey GET "/api-keys/validate" (any key) => api_keys::validate),
    row!(getCurrentApiKey GET "/api-keys/me" (any key) => api_keys::me),
    row!(getApiKey GET "/api-keys/{id}" ApiKeyRead => api_keys::get),
    row!(updateApiKey PATCH "/api-keys/{id}" ApiKeyUpdate => api_keys::update),
    row!(deleteApiKey DELETE "/api-keys/{id}" ApiKeyDelete => api_keys::delete),
    row!(toggleApiKey POST "/api-keys/{id}/toggle" ApiKeyUpdate => api_keys::toggle),
    row!(rotateApiKey POST "/api-keys/{id}/rotate" ApiKeyUpdate => api_keys::rotate),

    row!(listClusters GET "/resources/clusters" (any key) => resources::clusters),
    row!(listProcessResourceTypes GET "/resources/process-resource-types" (any key) => resources::process_types),

    row!(setup POST "/setup" (nothing, extension) => setup::setup),
    row!(health GET "/health" (nothing, extension) => health::health),
];
