//! What machine an image is for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Operating system and architecture (OCI image-spec, image-index.md, "platform").
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    pub variant: Option<String>,
}

impl Platform {
    /// Whether this machine runs it: linux/amd64 without a variant, or with the baseline `v1`.
    pub fn is_supported(&self) -> bool {
        self.os == "linux"
            && self.architecture == "amd64"
            && matches!(self.variant.as_deref(), None | Some("" | "v1"))
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match self.variant.as_deref() {
            None | Some("") => Ok(()),
            Some(variant) => write!(f, "/{variant}"),
        }
    }
}
