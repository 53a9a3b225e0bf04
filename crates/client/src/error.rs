//! What can go wrong between a command and the server.

use wire::CredentialUser;

/// Why an operation gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server's address cannot be used.
    #[error("{text:?} is no server address: {why}")]
    Address { text: String, why: String },
    /// The address would send the key unencrypted over a network.
    #[error("plain http would send the key unencrypted to {host}")]
    PlainHttp { host: String },
    /// No connection.
    #[error("cannot reach {server}: {why}")]
    Unreachable { server: String, why: String },
    /// A connection, but no answer in time, or one that broke off.
    #[error("{server} did not answer: {why}")]
    NoAnswer { server: String, why: String },
    /// An answer that is not one of API v3.
    #[error("{server} answered {what}")]
    NotTheApi { server: String, what: String },
    /// The server said no, in its own words.
    #[error(transparent)]
    Refused(#[from] Box<Refusal>),
}

/// The server's own error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// One sentence for people.
    pub message: String,
    /// A stable word, as `tag_not_found`.
    pub code: Option<String>,
    /// Detail or next step.
    pub detail: Option<String>,
    /// Only with `platform_missing`: what the image has.
    pub available_platforms: Vec<String>,
    /// Only with `docker_registry_in_use`: the applications that use the credential.
    pub applications: Vec<CredentialUser>,
    /// Seconds that the server asks to wait.
    pub retry_after: Option<u64>,
}

impl Error {
    /// What to do now, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Address { .. } => Some("set DARSENA_URL, for example to http://127.0.0.1:7300".to_owned()),
            Error::PlainHttp { .. } => Some(
                "use https, or an ssh tunnel to a port of this machine; on a private network set DARSENA_PLAIN_HTTP=1"
                    .to_owned(),
            ),
            Error::Unreachable { .. } => Some("is `darsena serve` running there?".to_owned()),
            Error::NoAnswer { .. } => Some("try again; the log of `darsena serve` may say more".to_owned()),
            Error::NotTheApi { .. } => Some("check that DARSENA_URL is the address of a Darsena server".to_owned()),
            Error::Refused(refusal) => refusal.hint(),
        }
    }

    /// The server's own error, when it gave one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Error::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Whether the server may have done what it was asked for: the answer got lost, or came from something before it.
    pub(crate) fn leaves_open(&self) -> bool {
        match self {
            Error::NoAnswer { .. } => true,
            Error::Refused(refusal) => matches!(refusal.status, 502..=504),
            _ => false,
        }
    }

    /// Whether the same request may succeed a moment later, as during a restart of the server.
    pub fn is_passing(&self) -> bool {
        match self {
            Error::Unreachable { .. } | Error::NoAnswer { .. } => true,
            Error::Refused(refusal) => matches!(refusal.status, 429 | 502..=504),
            _ => false,
        }
    }
}

impl Refusal {
    fn hint(&self) -> Option<String> {
        if let Some(detail) = &self.detail {
            return Some(detail.clone());
        }
        match (self.status, self.retry_after) {
            (_, Some(seconds)) => Some(format!("try again in {seconds} s")),
            (401, _) => Some("check DARSENA_TOKEN, or sign in again with `darsena setup`".to_owned()),
            (403, _) => Some("use a key that may do this".to_owned()),
            _ => None,
        }
    }
}
