//! `POST /images/inspect`. All of it is an extension.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The body of `POST /images/inspect`. A `null` credential means anonymous, like one that is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InspectImage {
    pub docker_image: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_registry_credential_id: Option<String>,
}

/// What a reference points to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageInspection {
    /// Echo.
    pub docker_image: String,
    pub reference: ImageReference,
    /// An index when there are several platforms, otherwise the manifest.
    pub digest: String,
    /// Media type of that object.
    pub media_type: String,
    /// One entry for an image without an index.
    pub platforms: Vec<ImagePlatform>,
    /// The one that the following fields describe.
    pub platform: ImagePlatform,
    /// Compressed bytes of its layers.
    pub size: u64,
    pub exposed_ports: Vec<ExposedPort>,
    /// Names only; values stay out because images often carry secrets by mistake.
    pub env_names: Vec<String>,
    pub entrypoint: Option<Vec<String>>,
    pub cmd: Option<Vec<String>>,
    /// `None` or empty: root.
    pub user: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub licenses: Vec<String>,
    pub created: Option<String>,
}

/// A resolved reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageReference {
    /// Normalised, with digest.
    pub canonical: String,
    pub registry: String,
    pub repository: String,
    pub tag: Option<String>,
    pub digest: String,
}

/// One platform of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImagePlatform {
    pub os: String,
    pub architecture: String,
    pub variant: Option<String>,
    /// Manifest of this platform.
    pub digest: String,
    /// Compressed bytes of all layers; `None` when not fetched.
    pub size: Option<u64>,
    /// A cluster of this installation can run it.
    pub is_supported: bool,
}

/// A port from the image's EXPOSE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExposedPort {
    pub port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}
