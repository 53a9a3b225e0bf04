//! Addresses that start a deployment without an API key, and promotion.

use serde::{Deserialize, Serialize};

use crate::Secret;

/// The secret address of an application: whoever knows it may deploy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentHook {
    /// An empty POST to it starts a deployment of the configured source.
    pub url: Secret,
    /// Extension.
    #[serde(default)]
    pub last_called_at: Option<String>,
}

/// Where a Git server sends its pushes. Extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushWebhook {
    /// No secret: what is sent there has to be signed.
    pub url: String,
    /// Only in the answer that made it: the Git server signs with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// What the Git server has to send, as it calls it.
    #[serde(default)]
    pub events: Vec<String>,
    pub last_called_at: Option<String>,
}

/// The answer to a Git server. Extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushReceived {
    pub status: PushStatus,
    /// With `ignored`: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The deployment of the commit; the same one however often it is pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<StartedDeployment>,
}

/// What became of a push. Extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushStatus {
    Deploying,
    Ignored,
}

/// The answer of a deployment hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookDeployment {
    pub deployment: StartedDeployment,
}

/// A deployment, for someone who may know no more of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedDeployment {
    pub id: String,
}

/// The body of `POST /applications/{id}/promote`: the image that this application serves is rolled out in another one,
/// without a new build. Extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromoteApplication {
    /// The application that gets the image; the answer is its deployment.
    pub target_app_id: String,
}
