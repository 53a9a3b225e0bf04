//! Applications, their processes and variables.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::git::GitSource;
use crate::id::{
    AppId, CompanyId, CredentialId, DeploymentId, EnvVarId, ProcessId, ProjectId, ResourceTypeId,
};
use crate::name::AppName;

/// What a person added: an image or a repository that runs with a URL.
#[derive(Clone, Debug, PartialEq)]
pub struct App {
    pub id: AppId,
    pub company: CompanyId,
    /// Unique on the installation, fixed for life: the label of the URL.
    pub name: AppName,
    /// As the client sent it.
    pub display_name: String,
    pub project: Option<ProjectId>,
    pub source: Source,
    /// Settings that API v3 keeps and gives back, although an image application does nothing with them.
    pub kept: Kept,
    pub is_suspended: bool,
    pub status: Option<AppStatus>,
    /// The deployment whose release serves now.
    pub serving: Option<DeploymentId>,
    /// User or API key that made it.
    pub created_by: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Where an application comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// A ready image. The reference is the text as the client sent it; it was checked to be one.
    Image { reference: String, credential: Option<CredentialId> },
    /// A repository that an image is built from.
    Git(GitSource),
}

impl Source {
    /// The image reference as written; `None` for what is built.
    pub fn image_reference(&self) -> Option<&str> {
        match self {
            Source::Image { reference, .. } => Some(reference),
            Source::Git(_) => None,
        }
    }

    /// The repository; `None` for a ready image.
    pub fn git(&self) -> Option<&GitSource> {
        match self {
            Source::Image { .. } => None,
            Source::Git(git) => Some(git),
        }
    }
}

/// Settings that are stored and given back, never interpreted: field name to its JSON text.
pub type Kept = BTreeMap<String, String>;

/// State after the latest deployment or removal; the words are those of API v3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AppStatus {
    DeploymentInProgress,
    DeploymentFailed,
    DeploymentSuccess,
    DeploymentCancelled,
    Deleting,
    AppDeletionFailed,
}

impl AppStatus {
    /// The word of API v3.
    pub fn as_str(self) -> &'static str {
        match self {
            AppStatus::DeploymentInProgress => "deploymentInProgress",
            AppStatus::DeploymentFailed => "deploymentFailed",
            AppStatus::DeploymentSuccess => "deploymentSuccess",
            AppStatus::DeploymentCancelled => "deploymentCancelled",
            AppStatus::Deleting => "deleting",
            AppStatus::AppDeletionFailed => "appDeletionFailed",
        }
    }
}

/// A process of an application. Stage 1 knows the web process.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    pub id: ProcessId,
    pub app: AppId,
    pub company: CompanyId,
    /// `web` for the web process.
    pub key: String,
    pub display_name: String,
    /// Start command as typed; empty means the image's own entry point and command.
    pub entrypoint: String,
    /// The port that was given; `None` means the image's EXPOSE, else 8080.
    pub port: Option<u16>,
    pub is_ingress_enabled: bool,
    /// `http` or `grpc`.
    pub ingress_protocol: String,
    pub size: ResourceTypeId,
    /// JSON text of `ScalingStrategy`, as sent.
    pub scaling: Option<String>,
    /// JSON text of the `Probe`, as sent: only the fields that came are given back.
    pub liveness_probe: Option<String>,
    /// JSON text of the `Probe`, as sent.
    pub readiness_probe: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// An environment variable of an application.
#[derive(Clone, PartialEq, Eq)]
pub struct EnvVar {
    pub id: EnvVarId,
    pub app: AppId,
    pub company: CompanyId,
    /// Unique in the application; not empty, no `=`, no NUL.
    pub key: String,
    /// Often a secret: not printed by [`std::fmt::Debug`].
    pub value: String,
    pub is_runtime: Option<bool>,
    pub is_buildtime: Option<bool>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl std::fmt::Debug for EnvVar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnvVar").field("id", &self.id).field("key", &self.key).finish_non_exhaustive()
    }
}

/// How to find out whether a container is ready, or still alive. Part of the release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    pub kind: ProbeKind,
    /// Another port than the application's.
    #[serde(default)]
    pub port: Option<u16>,
    /// Pause before the first attempt, in milliseconds.
    pub initial_delay_ms: u64,
    /// Pause between two attempts, in milliseconds. Until a container is ready attempts come faster at first.
    pub period_ms: u64,
    /// Time for one attempt, in milliseconds.
    pub timeout_ms: u64,
    /// The start period: time after which a container that was never ready is given up, in milliseconds.
    pub deadline_ms: u64,
    /// So many failures in a row count as one.
    #[serde(default = "Probe::default_failures")]
    pub failures: u32,
    /// So many successes in a row count as one.
    #[serde(default = "Probe::default_successes")]
    pub successes: u32,
}

/// What an attempt does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeKind {
    /// Open a connection to the container's port.
    Tcp,
    /// Ask for a path. Redirects are not followed.
    Http {
        path: String,
        /// The Host header; without it the container's address.
        host: Option<String>,
        /// Further headers, name and value.
        #[serde(default)]
        headers: Vec<(String, String)>,
        /// The one status that is healthy; without it 2xx and 3xx are.
        #[serde(default)]
        status: Option<u16>,
    },
    /// Run a command in the container; exit code 0 is healthy.
    Exec { command: Vec<String> },
}

impl Probe {
    /// A TCP probe that waits a minute.
    pub const DEFAULT: Probe = Probe {
        kind: ProbeKind::Tcp,
        port: None,
        initial_delay_ms: 0,
        period_ms: 10_000,
        timeout_ms: 5_000,
        deadline_ms: 60_000,
        failures: Self::default_failures(),
        successes: Self::default_successes(),
    };

    const fn default_failures() -> u32 {
        3
    }

    const fn default_successes() -> u32 {
        1
    }
}
