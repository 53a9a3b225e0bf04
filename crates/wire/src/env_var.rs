//! Environment variables of an application.

use serde::{Deserialize, Serialize};

use crate::Secret;

/// A variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvVar {
    pub id: String,
    pub app_id: String,
    /// Unique in the application, 1 to 255 characters. Echo.
    pub key: String,
    /// In clear, at most 32768 characters. Echo.
    pub value: Secret,
    pub is_runtime: Option<bool>,
    pub is_buildtime: Option<bool>,
    pub created_at: String,
    pub updated_at: String,
}

/// The body of `POST /applications/{id}/env-vars`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateEnvVar {
    pub key: String,
    pub value: Secret,
    /// Left out: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_runtime: Option<bool>,
    /// Left out: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_buildtime: Option<bool>,
}

/// The body of `PUT /applications/{id}/env-vars/{env_var_id}`: a partial change, although the method is PUT.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateEnvVar {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_runtime: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_buildtime: Option<bool>,
}
