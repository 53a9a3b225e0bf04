//! What looking into a repository gives.

use model::FailureCode;
use model::git::Commit;

/// A repository that is not built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// `None` when the server names none.
    pub default_branch: Option<String>,
    /// In the order of the server.
    pub branches: Vec<String>,
    pub commit: Commit,
    pub dockerfile: Dockerfile,
}

/// The Dockerfile that a repository would be built with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerfile {
    pub text: String,
    pub origin: DockerfileOrigin,
    /// Of one that was found its path in the repository, of one that was made what for, such as `Node.js`.
    pub detail: Option<String>,
}

/// Where a Dockerfile comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DockerfileOrigin {
    /// It is in the repository.
    Found,
    /// It was made for what the repository holds.
    Made,
    /// It is a part of the settings.
    Given,
}

/// A key pair for a Git server. Without `Debug`, so that the private half cannot stray.
pub struct DeployKey {
    /// The whole file, as OpenSSH has it.
    pub private_key: String,
    /// One line of `authorized_keys`.
    pub public_key: String,
    /// The server's own keys, as `ssh-ed25519 AAAA...`; at least one.
    pub host_keys: Vec<String>,
}

/// Why a repository cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitProblem {
    pub code: FailureCode,
    /// One sentence with the names involved; never a secret.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}
