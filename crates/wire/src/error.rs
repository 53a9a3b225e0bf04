//! The error envelope.

use serde::{Deserialize, Serialize};

use crate::CredentialUser;

/// The body of every answer that is not 2xx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// One sentence for people.
    pub message: String,
    /// The HTTP status, repeated.
    pub status: u16,
    /// Optional; left out when there is nothing to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<ErrorData>,
}

/// The details of an [`Error`]. With an image error (`ImageError` in the file) the three about the image may be
/// there. What is `None` is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorData {
    /// A stable word (`ErrorCode`, `ImageErrorCode`); clients accept values that they do not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Detail or next step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The image reference that failed, normalised when that was possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_image: Option<String>,
    /// The registry that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_host: Option<String>,
    /// Only with `platform_missing`: what the image has, as in `linux/arm64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_platforms: Option<Vec<String>>,
    /// Only with `docker_registry_in_use` (`RegistryInUseError`): every application that pulls with the credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applications: Option<Vec<CredentialUser>>,
}
