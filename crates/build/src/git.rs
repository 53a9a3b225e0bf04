//! Repositories: which commit, and its files.

use model::GitUrl;

use crate::Secret;

/// How a repository is reached.
#[derive(Clone, Debug)]
pub struct Remote {
    pub url: GitUrl,
    pub access: Access,
}

/// The login that was chosen for a repository.
#[derive(Clone, Debug)]
pub enum Access {
    Anonymous,
    /// For https.
    Token {
        username: String,
        token: Secret,
    },
    /// For ssh.
    Key {
        /// OpenSSH's own format.
        private_key: Secret,
        /// `ssh-ed25519 AAAA...`: the server's keys that are accepted, and no other.
        host_keys: Vec<String>,
    },
}
