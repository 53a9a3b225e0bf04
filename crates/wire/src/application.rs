//! Applications.

use serde::{Deserialize, Serialize};

use crate::Commit;

/// Where the code of an application comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ApplicationSource {
    PrivateGit,
    PublicGit,
    #[default]
    DockerImage,
    /// Made by the platform (clones, previews). In answers only; a request with it is refused by the server.
    App,
}

/// State after the latest deployment or removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ApplicationStatus {
    DeploymentInProgress,
    DeploymentFailed,
    DeploymentSuccess,
    DeploymentCancelled,
    Deleting,
    AppDeletionFailed,
}

/// `previewApp` is made for a pull request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ApplicationType {
    App,
    PreviewApp,
}

/// How a Git application is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BuildType {
    /// The repository's Dockerfile, or the one given; where there is none one is made.
    Dockerfile,
    Pack,
    Nixpacks,
    /// A Dockerfile is made from what the repository holds, whether or not it has one. Extension.
    Made,
}

/// A Git provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GitType {
    Github,
    Bitbucket,
    Gitlab,
}

/// What a tag means over time. Extension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImagePolicy {
    /// Each deployment looks the tag up again.
    #[default]
    ResolveOnDeploy,
    /// The first digest is kept until the image changes.
    Pinned,
    /// The tag is looked up regularly, and a new digest starts a deployment.
    Watch,
}

/// A buildpack of an application. Left out by the stage-1 server, which builds nothing: its lists are empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buildpack {
    pub id: String,
    /// Position in the build, 0 to 20.
    pub order: u8,
    /// URL or name.
    pub source: String,
}

/// A buildpack as a request gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildpackInput {
    pub order: u8,
    pub source: String,
}

/// The full record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    pub id: String,
    /// The system name, unique, fixed for life: the NAME of `NAME.DOMAIN`.
    pub name: String,
    /// Echo.
    pub display_name: String,
    /// `None` before the first deployment.
    pub status: Option<ApplicationStatus>,
    #[serde(rename = "type")]
    pub kind: ApplicationType,
    pub source: ApplicationSource,
    pub is_suspended: bool,
    pub company_id: Option<String>,
    /// Stays `None` unless a client set it.
    pub project_id: Option<String>,
    pub namespace: Option<String>,
    pub cluster_id: Option<String>,
    pub git_type: Option<GitType>,
    pub repo_url: Option<String>,
    pub default_branch: Option<String>,
    /// The image reference. Echo.
    pub docker_image: Option<String>,
    /// Digest of the image that is running now; `None` before the first successful deployment. Extension.
    #[serde(default)]
    pub docker_image_digest: Option<String>,
    pub docker_registry_credential_id: Option<String>,
    /// Extension.
    #[serde(default)]
    pub image_policy: ImagePolicy,
    pub auto_deploy: bool,
    /// Stored and returned although nothing is built from an image, as the Terraform provider expects.
    pub build_type: BuildType,
    pub build_path: Option<String>,
    pub build_cache_enabled: bool,
    pub dockerfile_path: Option<String>,
    pub docker_context: Option<String>,
    /// The Dockerfile itself, instead of one of the repository. Echo. Extension.
    #[serde(default)]
    pub dockerfile_text: Option<String>,
    /// Extension.
    #[serde(default)]
    pub submodules_enabled: bool,
    /// Fetch the files that Git LFS keeps elsewhere. Extension.
    #[serde(default)]
    pub lfs_enabled: bool,
    /// Login for the repository. Extension.
    #[serde(default)]
    pub git_credential_id: Option<String>,
    /// The commit that serves now; `None` for what was not built. Extension.
    #[serde(default)]
    pub serving_commit: Option<Commit>,
    pub pack_builder: Option<String>,
    pub nixpacks_version: Option<String>,
    pub buildpacks: Vec<Buildpack>,
    pub allow_deploy_paths: Vec<String>,
    pub ignore_deploy_paths: Vec<String>,
    pub hibernation_enabled: bool,
    pub hibernate_after_seconds: Option<u64>,
    /// Optional in the file; Darsena always sends it.
    #[serde(default)]
    pub wait_for_checks: bool,
    pub created_by: Option<String>,
    pub created_at: String,
    pub updated_at: String,
    /// Where it answers, as `http://web.localhost:8080/`; `None` when nothing is routed to it by name. Extension.
    #[serde(default)]
    pub url: Option<String>,
    /// How its container is; `None` when none runs on purpose. Extension.
    #[serde(default)]
    pub condition: Option<Condition>,
    /// The deployment whose release serves now; `None` before the first success. Extension.
    #[serde(default)]
    pub serving_deployment_id: Option<String>,
}

/// A row of `GET /applications`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationListItem {
    pub id: String,
    pub name: String,
    /// Echo.
    pub display_name: String,
    /// `None` before the first deployment.
    pub status: Option<ApplicationStatus>,
    #[serde(rename = "type")]
    pub kind: ApplicationType,
    pub source: ApplicationSource,
    pub is_suspended: bool,
    pub created_at: String,
    pub updated_at: String,
    /// As in [`Application`]. Extension.
    #[serde(default)]
    pub url: Option<String>,
    /// As in [`Application`]. Extension.
    #[serde(default)]
    pub serving_deployment_id: Option<String>,
}

/// The body of `POST /applications`. A `null` means the same as a field that is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateApplication {
    /// 2 to 64 characters.
    pub display_name: String,
    pub cluster_id: String,
    pub source: ApplicationSource,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_image: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_registry_credential_id: Option<String>,
    /// Extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_policy: Option<ImagePolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_type: Option<GitType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_branch: Option<String>,
    /// Login for the repository. Extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_credential_id: Option<String>,
    /// This and the other build settings: extension. Left out, they are as [`UpdateApplication`] would find them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_type: Option<BuildType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_cache_enabled: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_context: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile_text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submodules_enabled: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lfs_enabled: Option<bool>,
}

/// The body of `PATCH /applications/{id}`: only the fields present are changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateApplication {
    /// 1 to 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ApplicationSource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_image: Option<String>,
    /// `Some(None)` removes it.
    #[serde(default, with = "crate::present", skip_serializing_if = "Option::is_none")]
    pub docker_registry_credential_id: Option<Option<String>>,
    /// Extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_policy: Option<ImagePolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_type: Option<GitType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_branch: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_deploy: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_type: Option<BuildType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_cache_enabled: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_context: Option<String>,
    /// 1 to 65536 characters; `Some(None)` removes it. Extension.
    #[serde(default, with = "crate::present", skip_serializing_if = "Option::is_none")]
    pub dockerfile_text: Option<Option<String>>,
    /// Extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submodules_enabled: Option<bool>,
    /// Extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lfs_enabled: Option<bool>,
    /// `Some(None)` removes it. Extension.
    #[serde(default, with = "crate::present", skip_serializing_if = "Option::is_none")]
    pub git_credential_id: Option<Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pack_builder: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nixpacks_version: Option<String>,
    /// Replaces the whole list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buildpacks: Option<Vec<BuildpackInput>>,
    /// Not together with `ignore_deploy_paths`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_deploy_paths: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_deploy_paths: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hibernation_enabled: Option<bool>,
    /// 1 to 604800.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hibernate_after_seconds: Option<u64>,
}

/// How the containers of the serving release are, all in one and each. Extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Of the one that is worst off: `running`; `not_ready`: it runs and does not answer; `starting`; `backing_off`: it
    /// ended and is started again at `next_start_at`.
    pub state: String,
    /// How often they were started again since the control plane looks after them.
    pub restarts: u32,
    /// How one ended last, as `code 3` or `killed: out of memory at 512 MB`.
    pub last_end: Option<String>,
    pub last_end_at: Option<String>,
    pub next_start_at: Option<String>,
    /// In the order of their numbers.
    #[serde(default)]
    pub instances: Vec<InstanceCondition>,
}

/// How one container of the serving release is, in the words of [`Condition`]. Extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceCondition {
    /// Its number, from 1.
    pub instance: u16,
    pub state: String,
    /// Whether requests are sent to it.
    pub is_ready: bool,
    pub restarts: u32,
    pub last_end: Option<String>,
    pub last_end_at: Option<String>,
    pub next_start_at: Option<String>,
}
