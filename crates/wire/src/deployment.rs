//! Deployments.

use serde::{Deserialize, Serialize};

use crate::GitType;

/// `waiting` and `inProgress` are still running; the other four are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeploymentStatus {
    Waiting,
    InProgress,
    Success,
    Failed,
    Cancelled,
    Skipped,
}

impl DeploymentStatus {
    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Waiting | Self::InProgress)
    }
}

/// Who started it: a person or the API, or a push or watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeploymentType {
    Manual,
    Automatic,
}

/// A step of a deployment. An image needs only `rollout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeploymentStep {
    Checkout,
    Build,
    Rollout,
    SyncConnections,
}

/// One act of making a release serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    pub id: String,
    pub app_id: Option<String>,
    pub status: Option<DeploymentStatus>,
    #[serde(rename = "type")]
    pub kind: Option<DeploymentType>,
    /// `MANUAL_DEPLOY`, `ROLLBACK_DEPLOYMENT`, `RESTART` and others.
    pub trigger: Option<String>,
    pub steps: Vec<DeploymentStep>,
    /// Full reference of the image that is rolled out.
    pub docker_image_url: Option<String>,
    /// Digest that the reference resolved to. Extension.
    #[serde(default)]
    pub docker_image_digest: Option<String>,
    /// Why it did not succeed. Extension.
    #[serde(default)]
    pub failure: Option<DeploymentFailure>,
    pub git_type: Option<GitType>,
    pub repo_url: Option<String>,
    pub branch: Option<String>,
    pub commit_sha: Option<String>,
    pub commit_message: Option<String>,
    pub author_login: Option<String>,
    pub author_img: Option<String>,
    /// `None` while waiting.
    pub started_at: Option<String>,
    /// `None` until final.
    pub finished_at: Option<String>,
    pub created_at: String,
    pub updated_at: String,
    /// Extension: which credential the registry was asked with; null for an anonymous pull.
    #[serde(default)]
    pub docker_registry_credential_id: Option<String>,
    /// How far it is; `None` when it waits or is final. Extension.
    #[serde(default)]
    pub progress: Option<DeploymentProgress>,
}

/// Why a deployment did not succeed. Extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentFailure {
    /// The phase that failed: `resolve`, `pull`, `start`, `health`, `route` and others.
    pub during: String,
    /// A stable word, as `port_not_listening`.
    pub code: String,
    /// What happened, with the names involved.
    pub message: String,
    /// What to change.
    #[serde(default)]
    pub hint: Option<String>,
    /// How the container ended: 0 to 255, 128 + n for signal n. Left out when it did not end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The container's last lines, oldest first. Left out when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log_tail: Vec<String>,
}

/// How far a running deployment is. Extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentProgress {
    /// What it does now: `resolving`, `fetching`, `building`, `pulling`, `creating`, `starting`, `checking`, `switching`,
    /// `draining`, `undoing`. Clients accept words that they do not know.
    pub step: String,
    /// The image's layers, lowest first; empty until the manifest is known.
    #[serde(default)]
    pub layers: Vec<LayerProgress>,
    /// The steps of the Dockerfile that have begun, in order. Left out when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub build_steps: Vec<BuildStep>,
}

/// A step of a Dockerfile that is built. Extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildStep {
    /// From 1, over all stages.
    pub number: u32,
    pub of: u32,
    /// Name of its stage, or the stage's number from 1.
    pub stage: String,
    /// The instruction, as written.
    pub text: String,
    pub state: BuildStepState,
    pub started_at: String,
    /// `None` while it runs.
    pub finished_at: Option<String>,
}

/// Where a step of a Dockerfile is. Extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildStepState {
    Running,
    Done,
    /// Its result was there from an earlier build.
    Cached,
    Failed,
}

/// One layer of the image being pulled. Extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerProgress {
    /// Digest of the compressed layer, `sha256:…`.
    pub digest: String,
    /// Compressed bytes that have arrived.
    pub done: u64,
    /// Compressed bytes in all.
    pub total: u64,
    pub state: LayerState,
}

/// Where a layer is on its way. Extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerState {
    Waiting,
    Pulling,
    /// In place.
    Done,
    /// Was in place before, from this or another image.
    Shared,
}

/// The body of `POST /applications/{id}/deployments`. All fields are optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerDeployment {
    /// Git sources only: the branch of this name, else the tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Git sources only: full id of a commit; `branch` is then where it is said to be. Extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_sha: Option<String>,
    /// Full reference for this deployment; refused together with the next two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_image: Option<String>,
    /// Extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_image_tag: Option<String>,
    /// Decides when a tag is given too. Extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_image_digest: Option<String>,
    /// Roll the last successful deployment out again without resolving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_restart: Option<bool>,
    /// Alias of `docker_image_tag`, which wins when both are present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// The body of `POST /applications/{id}/deployments/rollback`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackDeployment {
    /// Left out: the most recent successful one before the one that serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_id: Option<String>,
}
