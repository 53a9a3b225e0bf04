//! What some commands need from the machine itself. The program provides it, so that this crate stays a client.

use std::path::Path;

use serde::Serialize;

/// One finding of `darsena doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at, as `runc`.
    pub name: String,
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// What to do when it is not in order.
    pub hint: Option<String>,
}

/// An image that `darsena images load` put in place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoadedImage {
    /// The reference to deploy it by, as `localhost/hello:1`.
    pub image: String,
    /// Digest of its manifest.
    pub digest: String,
}

/// Why something on this machine did not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalError {
    pub message: String,
    pub hint: Option<String>,
}

/// This machine. Called outside of any async runtime.
pub trait Local {
    /// The findings about this machine and the installation in `data`, which may not exist yet.
    fn checks(&self, data: &Path) -> Vec<Check>;

    /// Puts the OCI archive or layout folder `archive` into the installation in `data`, under the name `image`.
    fn load_image(&self, data: &Path, archive: &Path, image: &str) -> Result<LoadedImage, LocalError>;
}
