//! Registry credentials, which the file calls Docker registries.

use serde::{Deserialize, Serialize};

use crate::Secret;

/// The family of a registry. It decides the host of a credential that names none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RegistryKind {
    /// `docker.io`.
    #[default]
    DockerHub,
    /// Google: `gcr.io`.
    Gcr,
    /// Amazon. Without a host it is for every registry of Amazon ECR.
    Ecr,
    /// `ghcr.io`.
    Github,
    /// `registry.gitlab.com`.
    Gitlab,
    /// `registry.digitalocean.com`.
    DigitalOcean,
    /// Any other; the host must be given.
    Custom,
}

/// Result of the last check of a login. Extension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DockerRegistryStatus {
    /// Never checked, or changed since.
    #[default]
    Unverified,
    Valid,
    Rejected,
}

/// A stored login, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DockerRegistry {
    pub id: String,
    pub company_id: String,
    /// Echo.
    pub name: String,
    pub registry: RegistryKind,
    /// Echo. Empty for someone who may see names only, as a viewer.
    pub username: String,
    /// `None` for someone who may see names only; its fields are then left out.
    #[serde(flatten)]
    pub details: Option<DockerRegistryDetails>,
    pub created_at: String,
    pub updated_at: String,
}

/// The fields of [`DockerRegistry`] that are extensions. In JSON they stand beside the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DockerRegistryDetails {
    /// Canonical host, with a port when it is not 443; `None` only for `ecr` without one.
    pub host: Option<String>,
    pub status: DockerRegistryStatus,
    /// Last time the registry answered yes or no to this login.
    pub last_verified_at: Option<String>,
    /// Last pull or inspection made with it.
    pub last_used_at: Option<String>,
    /// Ids of the applications that pull with it.
    pub used_by: Vec<String>,
}

/// The body of `POST /docker-registries`. A `null` means the same as a field that is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateDockerRegistry {
    /// 1 to 255 characters.
    pub name: String,
    /// Left out: `dockerHub`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<RegistryKind>,
    /// 1 to 255 characters.
    pub username: String,
    /// Password or access token, 1 to 16384 characters. One line break at its end, as files have, does not count.
    pub secret: Secret,
    /// Left out: the default of `registry`. Needed for `custom`. Extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// The body of `PATCH /docker-registries/{id}`: only the fields present are changed. Another registry, host or user
/// name needs the secret again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateDockerRegistry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// With another registry and no `host`, the host becomes the default of that registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<RegistryKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// As in [`CreateDockerRegistry`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// Extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// The answer of `POST /docker-registries/{id}/verify`: the registry said yes or no. Extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DockerRegistryVerification {
    /// `valid` or `rejected`.
    pub status: DockerRegistryStatus,
    /// The registry that was asked.
    pub host: String,
    /// Time of this check.
    pub last_verified_at: String,
    /// With `rejected`: `credential_rejected`, or `credential_scope_missing` when the login works and its token may
    /// not pull.
    pub code: Option<String>,
    /// With `rejected`: what the registry said.
    pub message: Option<String>,
    /// With `rejected`: what to try.
    pub hint: Option<String>,
}

/// An application that uses a credential: an entry of [`crate::ErrorData::applications`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialUser {
    pub id: String,
    /// Echo.
    pub display_name: String,
}
