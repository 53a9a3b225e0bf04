//! Git sources: the logins for Git servers, and a look into a repository. All of it is an extension.

use serde::{Deserialize, Serialize};

use crate::{BuildType, Secret};

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Full id, 40 or 64 hex digits.
    pub sha: String,
    /// Branch or tag that led to it.
    pub branch: Option<String>,
    /// Cut at 1000 characters.
    pub message: String,
    /// Name of the author.
    pub author: String,
}

/// How a login proves itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GitCredentialKind {
    /// User name and token, for https.
    Token,
    /// A key pair that the server makes, for ssh.
    DeployKey,
}

/// A stored login for one Git server, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitCredential {
    pub id: String,
    pub company_id: String,
    /// Echo.
    pub name: String,
    pub kind: GitCredentialKind,
    /// Server, with its port unless it is the scheme's own. The login is sent to no other.
    pub host: String,
    /// With `token`. Echo.
    pub username: Option<String>,
    /// With `deploy_key`: one line of `authorized_keys`, to be given to the Git server.
    pub public_key: Option<String>,
    /// With `deploy_key`: the server's own keys when the credential was made. Another one is refused.
    pub host_keys: Vec<HostKey>,
    /// Last checkout made with it.
    pub last_used_at: Option<String>,
    /// Ids of the applications that are fetched with it.
    pub used_by: Vec<String>,
    pub created_at: String,
    pub updated_at: String,
}

/// A key of an ssh server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostKey {
    /// As `ssh-ed25519 AAAA...`.
    pub key: String,
    /// As `SHA256:...`, the form that `ssh-keygen -l` prints.
    pub fingerprint: String,
}

/// The body of `POST /git-credentials`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateGitCredential {
    /// 1 to 255 characters.
    pub name: String,
    pub kind: GitCredentialKind,
    /// `HOST[:PORT]`.
    pub host: String,
    /// Needed with `token`, 1 to 255 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Needed with `token`: the token, 1 to 16384 characters. One line break at its end does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
}

/// The body of `PATCH /git-credentials/{id}`: only the fields present are changed. A key pair stays what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateGitCredential {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// With `token`; needs the token again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// With `token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
}

/// The body of `POST /git/inspect`. Build settings that are left out are those of a new application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InspectRepository {
    pub repo_url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_credential_id: Option<String>,
    /// Branch, else tag; left out: the repository's default branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Full id of a commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_sha: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_type: Option<BuildType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_context: Option<String>,
}

/// What a repository is, and the Dockerfile it would be built with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryInspection {
    pub repo_url: String,
    pub default_branch: Option<String>,
    pub branches: Vec<String>,
    pub commit: Commit,
    pub dockerfile: Dockerfile,
}

/// A Dockerfile and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dockerfile {
    pub text: String,
    pub origin: DockerfileOrigin,
    /// With `found` its path in the repository, with `made` what for, as `Node.js`.
    pub detail: Option<String>,
}

/// Where a Dockerfile comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DockerfileOrigin {
    /// It is in the repository.
    Found,
    /// The server made it.
    Made,
    /// It is the text of the application's settings.
    Given,
}
