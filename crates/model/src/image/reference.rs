//! Image references, parsed without network.

use std::fmt;

use super::Digest;

/// An image reference (`[host[:port]/]path[:tag][@digest]`), resolved as Docker users expect: `nginx` is
/// `docker.io/library/nginx:latest`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    host: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is no image reference, with what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    #[error("an image reference cannot be empty")]
    Empty,
}

impl Reference {
    /// Parses a reference. Group R of the fault list is its specification.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let _ = text;
        Err(ReferenceError::Empty)
    }

    /// Canonical registry host, with `:port` when one was written: `docker.io`, `ghcr.io`, `127.0.0.1:5000`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Path at the registry: `library/nginx`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, when one was written; `None` beside a digest. Without both it is `latest`.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, when one was written. It decides; a tag beside it is a label only.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Whether it names an image loaded on this machine (`localhost/NAME`), which no registry is asked for.
    pub fn is_local(&self) -> bool {
        self.host == "localhost"
    }
}

/// Written out in full: `docker.io/library/nginx:latest`.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}
