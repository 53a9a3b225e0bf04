//! What looking at an image and trying a login give.

use std::time::Duration;

use model::image::{Digest, ImageConfig, Platform};
use model::{FailureCode, Timestamp};

/// An image without its layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// What the reference names: an index when there are several platforms, else the manifest.
    pub digest: Digest,
    pub media_type: String,
    /// Every platform in the order of the index; one entry for an image without an index.
    pub platforms: Vec<InspectedPlatform>,
    /// The manifest that `config` and `size` describe; it is one of `platforms`.
    pub manifest: Digest,
    pub config: ImageConfig,
    /// Compressed bytes of the layers.
    pub size: u64,
}

/// One platform of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InspectedPlatform {
    pub platform: Platform,
    pub manifest: Digest,
    /// Compressed bytes of all layers, when its manifest was read.
    pub size: Option<u64>,
}

/// What a registry answered to a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginCheck {
    pub verdict: LoginVerdict,
    pub at: Timestamp,
}

/// Yes or no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginVerdict {
    Accepted,
    Rejected {
        /// [`FailureCode::CredentialRejected`], or [`FailureCode::CredentialScopeMissing`] when the login works and
        /// its token may not pull.
        code: FailureCode,
        /// One sentence with the registry's own words in it; never a secret.
        message: String,
        /// What to try.
        hint: Option<String>,
    },
}

/// Why an image cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageProblem {
    pub code: FailureCode,
    /// One sentence with the names involved; never a secret.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// What the image has instead, such as `linux/arm64`; only with `platform_missing`.
    pub platforms: Vec<String>,
    /// When the registry may be asked again.
    pub retry_after: Option<Duration>,
}
