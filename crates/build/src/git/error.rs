//! Why a repository could not be had.
//!
//! The message says what failed, on which repository and why; [`GitError::hint`] says what to do now. Words of git and
//! of servers are cut and cleaned before they get here, and no secret does.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use model::FailureCode;
use model::git::{GitUrlError, RevisionError};

/// A failure of [`super::Git`].
#[derive(Debug)]
pub struct GitError {
    /// The repository's address, or the server.
    subject: String,
    cause: Box<Cause>,
}

/// What went wrong, by what can be done about it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cause {
    #[error("{server} cannot be reached: {reason}")]
    Unreachable { server: String, reason: String },
    #[error("{server} is at a private address ({address}), where Darsena does not look for repositories")]
    PrivateAddress { server: String, address: String },
    #[error("{server} is asked without https, and the administrator did not name it for that")]
    Insecure { server: String },
    #[error("the secure connection to {server} failed: {reason}")]
    Tls { server: String, reason: String },
    #[error("{server} answered {status}")]
    Status { server: String, status: u16 },
    #[error("{server} limits how often it is asked")]
    RateLimited { server: String },
    #[error("{server} wants a login for it")]
    LoginWanted { server: String },
    #[error("{server} refused the token of {username}")]
    TokenRefused { server: String, username: String },
    #[error("{server} does not let {whom} read it")]
    Denied { server: String, whom: String },
    #[error("{server} refused the deploy key")]
    KeyRefused { server: String },
    #[error("{server} is asked over ssh, which takes a deploy key")]
    KeyWanted { server: String },
    #[error("a {what} is not for an address of {scheme}")]
    Mismatch { what: &'static str, scheme: &'static str },
    #[error("{server} has another host key than the one that was pinned for it, so nothing was sent")]
    HostKeyChanged { server: String },
    #[error("{server} shows no repository {path}{}", to_whom(*.with_login))]
    NotFound { server: String, path: String, with_login: bool },
    #[error("it has no commit yet")]
    Empty,
    #[error("it has no {what}")]
    RevisionNotFound { what: String, near: Vec<String> },
    #[error("{0}")]
    RevisionInvalid(#[from] RevisionError),
    #[error("{0}")]
    Address(#[from] GitUrlError),
    /// The server sends who asks somewhere else; its words, or its address of a repository.
    #[error("{server} sends whoever asks for it elsewhere{}", leads_to(.to))]
    Moved { server: String, to: Option<String> },
    #[error("it is too large: {0}")]
    TooLarge(String),
    #[error("it took longer than {} seconds", .0.as_secs())]
    TimedOut(Duration),
    #[error("the disk is full: {why}, in {}", .folder.display())]
    DiskFull { folder: PathBuf, why: String },
    #[error("it cannot be used: {0}")]
    Invalid(String),
    #[error("the submodule {path}, {url}: {cause}")]
    Submodule { path: String, url: String, cause: Box<Cause> },
    #[error("{program} cannot be run: {reason}")]
    NoProgram { program: &'static str, reason: String },
    /// Words that fit nothing above.
    #[error("{program} failed: {words}")]
    Failed { program: &'static str, words: String },
    #[error("cannot {action} {}: {source}", .path.display())]
    Storage {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl GitError {
    pub(super) fn new(subject: impl fmt::Display, cause: Cause) -> Self {
        Self { subject: subject.to_string(), cause: Box::new(cause) }
    }

    /// The stable word for the cause.
    pub fn code(&self) -> FailureCode {
        self.cause.code()
    }

    /// What to do now, as a sentence.
    pub fn hint(&self) -> Option<String> {
        self.cause.hint()
    }
}

impl fmt::Display for GitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.cause)
    }
}

impl std::error::Error for GitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.cause)
    }
}

impl Cause {
    /// A failed operation on a file; a full disk is told apart from every other cause.
    pub fn storage(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Cause::DiskFull { folder: path, why: "nothing can be written".to_owned() }
            }
            _ => Cause::Storage { action, path, source },
        }
    }

    fn code(&self) -> FailureCode {
        match self {
            Cause::Unreachable { .. }
            | Cause::PrivateAddress { .. }
            | Cause::Insecure { .. }
            | Cause::Tls { .. }
            | Cause::Status { .. }
            | Cause::Moved { .. } => FailureCode::GitUnreachable,
            Cause::RateLimited { .. } => FailureCode::RateLimited,
            Cause::LoginWanted { .. }
            | Cause::TokenRefused { .. }
            | Cause::Denied { .. }
            | Cause::KeyRefused { .. }
            | Cause::KeyWanted { .. } => FailureCode::GitUnauthorized,
            Cause::Mismatch { .. } => FailureCode::GitCredentialMismatch,
            Cause::HostKeyChanged { .. } => FailureCode::GitHostKeyChanged,
            Cause::NotFound { .. } => FailureCode::RepositoryNotFound,
            Cause::Empty | Cause::RevisionNotFound { .. } | Cause::RevisionInvalid(_) => {
                FailureCode::RevisionNotFound
            }
            Cause::Address(_) => FailureCode::GitUrlInvalid,
            Cause::TooLarge(_) => FailureCode::RepositoryTooLarge,
            Cause::TimedOut(_) => FailureCode::Timeout,
            Cause::DiskFull { .. } => FailureCode::DiskFull,
            Cause::Invalid(_) => FailureCode::RepositoryInvalid,
            Cause::NoProgram { .. } => FailureCode::BuilderMissing,
            Cause::Submodule { cause, .. } => cause.code(),
            Cause::Failed { .. } | Cause::Storage { .. } => FailureCode::InternalError,
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Cause::Unreachable { server, .. } => {
                format!("Check the name {server} in the address and the network of this server.")
            }
            Cause::PrivateAddress { .. } => {
                "If it is a Git server of yours, the administrator allows it with \
                 --private-git HOST[:PORT], or without https with --insecure-git HOST:PORT."
                    .to_owned()
            }
            Cause::Insecure { server } => format!(
                "Use an address with https. A server without it must be named by the administrator, with \
                 --insecure-git {server}."
            ),
            Cause::Tls { server, .. } => format!("Check the certificate of {server}."),
            Cause::Status { .. } | Cause::RateLimited { .. } => {
                "Try again in a moment; if it stays, ask who runs the server.".to_owned()
            }
            Cause::LoginWanted { .. } => "Check the spelling: servers such as GitHub say the same of a \
                 repository that does not exist. If it is private, add a Git credential for it."
                .to_owned(),
            Cause::TokenRefused { .. } => "Give the credential a new token; the old one may have expired or \
                 been revoked. If the repository is public, use it without a credential."
                .to_owned(),
            Cause::Denied { .. } => "Give this account the right to read the repository.".to_owned(),
            Cause::KeyRefused { server } => {
                format!("Add the credential's public key to the repository's deploy keys at {server}.")
            }
            Cause::KeyWanted { .. } => {
                "Add a Git credential with a deploy key for this server, or use the address with https."
                    .to_owned()
            }
            Cause::Mismatch { .. } => {
                "Use a token with an address of https, and a deploy key with one of ssh.".to_owned()
            }
            Cause::HostKeyChanged { server } => format!(
                "If you know that {server} has a new host key, make the credential anew. Otherwise somebody \
                 may be listening."
            ),
            Cause::NotFound { with_login, .. } => not_found_hint(*with_login),
            Cause::Empty => "Push a commit to it first.".to_owned(),
            Cause::RevisionNotFound { near, .. } if near.is_empty() => "Check the spelling.".to_owned(),
            Cause::RevisionNotFound { near, .. } => format!("Did you mean {}?", near.join(", ")),
            Cause::Moved { to: Some(to), .. } => format!("If you trust that, use {to} as the address."),
            Cause::Moved { to: None, .. } => "Look in a browser where it is now, and use that.".to_owned(),
            Cause::TooLarge(_) => "Take out what is not needed for the build.".to_owned(),
            Cause::TimedOut(_) => "Try again in a moment.".to_owned(),
            Cause::DiskFull { .. } => "Make room on the disk of this server.".to_owned(),
            Cause::NoProgram { .. } => {
                "Install Debian's packages git and openssh-client on this server.".to_owned()
            }
            Cause::Submodule { cause, .. } => return cause.hint(),
            Cause::Address(_)
            | Cause::RevisionInvalid(_)
            | Cause::Invalid(_)
            | Cause::Failed { .. }
            | Cause::Storage { .. } => return None,
        };
        Some(text)
    }
}

fn not_found_hint(with_login: bool) -> String {
    match with_login {
        true => "Check the spelling, and whether this login may read the repository: servers such as GitHub \
                 say the same of one that a login may not see."
            .to_owned(),
        false => "Check the spelling. If it is private, add a Git credential for it: servers such as GitHub \
                  say that there is no such repository to whoever may not see it."
            .to_owned(),
    }
}

fn to_whom(with_login: bool) -> &'static str {
    if with_login { " to this login" } else { "" }
}

fn leads_to(to: &Option<String>) -> String {
    to.as_ref().map(|to| format!(", to {to}")).unwrap_or_default()
}
