//! API keys.

use serde::{Deserialize, Serialize};

use crate::Secret;

/// Where a key was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ApiKeySource {
    Dashboard,
    Cli,
    External,
}

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    pub id: String,
    pub company_id: String,
    /// Echo.
    pub name: String,
    /// False: refused until switched on again.
    pub is_enabled: bool,
    pub source: ApiKeySource,
    /// Its first six characters and its last four.
    pub masked_token: String,
    pub roles: Vec<ApiKeyRoleRef>,
    pub capabilities: Vec<ApiKeyCapability>,
    pub last_used_at: Option<String>,
    /// Echo: the very text that was sent.
    pub expired_at: Option<String>,
    pub old_token_expired_at: Option<String>,
    pub created_at: String,
    pub updated_at: String,
}

/// A role of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyRoleRef {
    pub id: String,
    pub name: String,
    pub description: String,
}

/// A capability of a key. Lists keep the order in which they were given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyCapability {
    pub id: String,
    /// `RESOURCE:ACTION`.
    pub permission: String,
    /// `None`: all resources.
    pub id_resource: Option<String>,
}

/// A capability as a request gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyCapabilityInput {
    /// `RESOURCE:ACTION`, as `APP:READ`.
    pub permission: String,
    /// Left out: all resources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_resource: Option<String>,
}

/// The body of `POST /api-keys`. A role or a capability must be given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateApiKey {
    /// 1 to 255 characters.
    pub name: String,
    /// Left out: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_ids: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<ApiKeyCapabilityInput>>,
}

/// The answer of `POST /api-keys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedApiKey {
    pub id: String,
    pub name: String,
    /// The key itself, shown this once.
    pub token: Secret,
}

/// The body of `PATCH /api-keys/{id}`: only the fields present are changed, each list as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateApiKey {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_ids: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<ApiKeyCapabilityInput>>,
}

/// The answer of `POST /api-keys/{id}/toggle`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToggledApiKey {
    pub message: String,
    /// State after the switch.
    pub is_enabled: bool,
}

/// The body of `POST /api-keys/{id}/rotate`, which may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotateApiKey {
    /// How long the old token stays valid, 0 to 168. Left out: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_token_ttl_hours: Option<u32>,
}

/// The answer of `POST /api-keys/{id}/rotate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotatedApiKey {
    pub name: String,
    /// The new key, shown this once.
    pub token: Secret,
}

/// The answer of `GET /api-keys/validate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyValidation {
    pub name: String,
    pub company_id: String,
    pub expires_at: Option<String>,
    /// `active`.
    pub status: String,
}
