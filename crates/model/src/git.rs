//! Git repositories as sources: which commit of which repository, reached with which login.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::id::{CompanyId, CredentialId, GitCredentialId};

mod revision;
mod url;

pub use revision::{RevisionError, is_commit_id};
pub use url::{GitUrl, GitUrlError, Scheme};

/// A repository that an application is built from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitSource {
    /// As the client sent it; it was checked to be a [`GitUrl`].
    pub url: String,
    /// Branch or tag to build when a deployment names none; `None`: the repository's own default branch.
    pub branch: Option<String>,
    /// Login for the repository; `None`: none is needed.
    pub credential: Option<GitCredentialId>,
    pub build: BuildSettings,
}

/// How a repository becomes an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BuildSettings {
    pub recipe: Recipe,
    /// Folder to build, relative to the repository; `""` is the repository itself.
    pub path: String,
    /// Dockerfile, relative to the folder to build.
    pub dockerfile: String,
    /// What `COPY` and `ADD` see, relative to the folder to build.
    pub context: String,
    /// Keep layers and cache mounts from build to build.
    pub is_cached: bool,
    pub with_submodules: bool,
    /// Fetch the files that Git LFS keeps elsewhere.
    pub with_lfs: bool,
    /// Login for base images of its own host. Those of other hosts are pulled with what the company has for them.
    pub base_credential: Option<CredentialId>,
}

impl Default for BuildSettings {
    fn default() -> Self {
        Self {
            recipe: Recipe::default(),
            path: String::new(),
            dockerfile: "Dockerfile".to_owned(),
            context: ".".to_owned(),
            is_cached: true,
            with_submodules: false,
            with_lfs: false,
            base_credential: None,
        }
    }
}

/// Where the Dockerfile comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipe {
    /// The repository's Dockerfile; where there is none, one is made from what the repository holds.
    #[default]
    Found,
    /// One is made from what the repository holds, whether or not it has one.
    Made,
    /// This text.
    Given(String),
}

/// What a deployment builds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitOrder {
    /// The repository at the time of asking.
    pub url: String,
    pub revision: Revision,
    /// Which commit that was found to be; from then on nothing else is built for this deployment.
    pub commit: Option<Commit>,
    /// Where the branch stood before the push that asks for this, a full commit id, zeros for a branch that is new;
    /// `None`: nobody pushed, or the Git server does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

/// Which state of a repository is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Revision {
    /// The repository's own default branch.
    Default,
    /// The branch of this name, else the tag.
    Named(String),
    /// A full commit id: 40 or 64 lower-case hex digits; the branch is where it is said to be, for people.
    Commit { id: String, branch: Option<String> },
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// 40 or 64 lower-case hex digits.
    pub id: String,
    /// Branch or tag that led to it.
    pub branch: Option<String>,
    /// At most 1000 characters.
    pub message: String,
    /// Name of the author, at most 200 characters.
    pub author: String,
}

impl Commit {
    /// The first twelve digits, for people.
    pub fn short(&self) -> &str {
        &self.id[..12.min(self.id.len())]
    }
}

/// A stored login for one Git server, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitCredential {
    pub id: GitCredentialId,
    pub company: CompanyId,
    /// As the client sent it.
    pub name: String,
    /// Server, lower case, with `:port` when it is not the scheme's own. It is sent to no other.
    pub host: String,
    pub login: GitLogin,
    /// Last checkout made with it.
    pub last_used_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The part of a login that may be seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum GitLogin {
    /// A token, for https. The token itself is the secret.
    Token { username: String },
    /// A key pair that was made here, for ssh. The private half is the secret.
    DeployKey {
        /// One line of `authorized_keys`: `ssh-ed25519 AAAA... comment`.
        public_key: String,
        /// The server's own keys as they were when the credential was made: `ssh-ed25519 AAAA...`, sshd(8),
        /// "SSH_KNOWN_HOSTS FILE FORMAT" without the names. Another key is refused.
        host_keys: Vec<String>,
    },
}

impl GitCredential {
    /// Whether it may be sent to where a URL leads: the same host and port, and the scheme of its kind.
    pub fn fits(&self, url: &GitUrl) -> bool {
        let scheme = match self.login {
            GitLogin::Token { .. } => Scheme::Https,
            GitLogin::DeployKey { .. } => Scheme::Ssh,
        };
        url.scheme() == scheme && url.host() == self.host
    }
}
