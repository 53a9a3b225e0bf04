//! A release: what serves, exactly. Immutable.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::app::Probe;
use crate::git::Commit;
use crate::id::{AppId, CompanyId, CredentialId, ReleaseId};
use crate::image::{Digest, ImageConfig};
use crate::size::Limits;

/// Image digest and configuration together. Starting a release again needs nothing else, no registry either.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    pub id: ReleaseId,
    pub app: AppId,
    pub company: CompanyId,
    /// Reference as written when it was resolved.
    pub reference: String,
    /// Digest that the reference named at the registry: an index when there are several platforms.
    pub digest: Digest,
    /// Manifest of linux/amd64, which is what runs.
    pub manifest: Digest,
    /// Which credential it was pulled with; never its secret. `None`: anonymously.
    #[serde(default)]
    pub credential: Option<CredentialId>,
    /// The commit that it was built from on this machine, so that no registry has it; `None`: it was pulled.
    #[serde(default)]
    pub commit: Option<Commit>,
    pub config: ImageConfig,
    /// The application's variables, `PORT` included. Often secrets: sealed at rest, not printed.
    pub env: Vec<(String, String)>,
    pub command: Command,
    pub port: u16,
    /// How many containers serve side by side, at least one.
    #[serde(default = "one_instance")]
    pub instances: u16,
    /// When a container is ready for requests.
    pub probe: Probe,
    /// When a container that runs has to be started again; `None`: when it ends.
    #[serde(default)]
    pub liveness: Option<Probe>,
    pub limits: Limits,
    pub created_at: Timestamp,
}

/// What a release of an earlier version has.
fn one_instance() -> u16 {
    1
}

impl std::fmt::Debug for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.env.iter().map(|(name, _)| name).collect();
        f.debug_struct("Release")
            .field("id", &self.id)
            .field("app", &self.app)
            .field("reference", &self.reference)
            .field("manifest", &self.manifest)
            .field("env", &names)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// Which command a container starts with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// The image's entry point and command.
    Image,
    /// These words instead of the image's command; its entry point stays.
    Words(Vec<String>),
}
