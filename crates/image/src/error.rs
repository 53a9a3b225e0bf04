//! Why an image could not be had.
//!
//! The message says what failed, on which image and why; [`ImageError::hint`] says what to do now. Texts from
//! a registry are cut and cleaned before they get here, and no secret does.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use model::image::{DiffId, Digest, Platform};
use model::{FailureCode, Phase};

use crate::disk::disk_full;
use crate::registry::{Stalled, clean};

/// A failure of the image store.
#[derive(Debug)]
pub struct ImageError {
    /// The image asked for, written out in full; for a login, the registry.
    subject: String,
    is_login: bool,
    phase: Phase,
    cause: Box<Cause>,
}

/// What went wrong, by what can be done about it.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    #[error("the registry {registry} cannot be reached: {reason}")]
    Unreachable { registry: String, reason: String },
    /// A host that names, or resolves to, an address of this machine or a private network.
    #[error("{host} is at a private address ({address}), where Darsena does not look for images")]
    PrivateAddress { host: String, address: String },
    #[error("the secure connection to {registry} failed: {reason}")]
    Tls { registry: String, reason: String },
    #[error("the registry {registry} {step} for {} seconds", .after.as_secs())]
    Timeout { registry: String, step: Stalled, after: Duration },
    /// It answered, but not as a registry should.
    #[error("the registry {registry} {reason}")]
    Registry { registry: String, reason: String },
    #[error("the registry {registry} limits how often images are pulled{}", pulls_left(.left))]
    RateLimited {
        registry: String,
        retry_after: Option<Duration>,
        /// Pulls that are left, when the registry says it.
        left: Option<u64>,
    },
    #[error("the saved credential of {username} was refused by the registry {registry}: {words}")]
    CredentialRejected { registry: String, username: String, words: String },
    #[error("the saved credential of {username} has expired, says the registry {registry}: {words}")]
    CredentialExpired { registry: String, username: String, words: String },
    /// The login is good, and its token is not made for pulling.
    #[error("the saved credential of {username} may not pull from the registry {registry}: {words}")]
    CredentialScopeMissing { registry: String, username: String, words: String },
    /// The registry is asked over plain http, and is on another machine.
    #[error(
        "the registry {registry} is asked over plain http and is not on this machine, so the password was not \
         sent"
    )]
    CredentialInPlain { registry: String },
    /// The registry wants the password sent to a host that does not belong to it.
    #[error(
        "the registry {registry} asks to log in at {realm}, which is not its own host, so the password was not sent"
    )]
    CredentialElsewhere { registry: String, realm: String },
    #[error("the registry {registry} does not give it without a login: {reason}")]
    Unauthorized { registry: String, reason: String },
    #[error("the registry {registry} denies access to it{}: {words}", as_whom(.username))]
    AccessDenied { registry: String, username: Option<String>, words: String },
    #[error("the registry {registry} has no image {repository}")]
    ImageNotFound { registry: String, repository: String },
    /// An image that should have been loaded on this machine.
    #[error("no image of that name is loaded on this machine")]
    NotLoaded,
    /// A loaded image is kept as files, not as what a builder could read.
    #[error("an image that was loaded on this machine cannot be built on")]
    LoadedOnly,
    #[error("the image {repository} at {registry} has no tag {tag:?}")]
    TagNotFound { registry: String, repository: String, tag: String, others: Vec<String> },
    #[error("the image {repository} at {registry} has no digest {digest}")]
    DigestNotFound { registry: String, repository: String, digest: Digest },
    #[error("its manifest is not valid: {0}")]
    ManifestInvalid(String),
    #[error("{0}")]
    ManifestUnsupported(String),
    #[error("its configuration is not valid: {0}")]
    ConfigInvalid(String),
    #[error("it has no linux/amd64; it has: {}", list(.0))]
    PlatformMissing(Vec<Platform>),
    #[error("{what} does not match its digest: {expected} was promised, {actual} came")]
    DigestMismatch { what: &'static str, expected: String, actual: String },
    #[error("layer {} cannot be unpacked: {reason}", .layer.short())]
    LayerInvalid { layer: Digest, reason: String },
    #[error("it is incomplete in the registry: layer {layer} is missing")]
    LayerMissing { layer: Digest },
    #[error("the connection to {registry} was lost at {done} of {total} bytes of layer {}: {reason}", .layer.short())]
    ConnectionLost { registry: String, layer: Digest, done: u64, total: u64, reason: String },
    /// Or so full that its reserve would be used.
    #[error("the disk is full: {why}, in {}", .folder.display())]
    DiskFull { folder: PathBuf, why: String },
    #[error("{} is not an image that can be loaded: {reason}", .path.display())]
    NotALayout { path: PathBuf, reason: String },
    /// Nobody knows which layers the image needs, so none is removed.
    #[error("{digest}, which is to be kept, cannot be read ({reason}), so nothing was removed")]
    KeptDamaged { digest: Digest, reason: String },
    /// Every process that works on the store holds this lock for a moment only.
    #[error("another process has kept {} locked for {} seconds", .path.display(), .patience.as_secs())]
    Locked { path: PathBuf, patience: Duration },
    #[error("layer {0} is not on this machine")]
    LayerNotHere(DiffId),
    /// The unpack process could not do its work for a reason that is not the image's.
    #[error("the unpack process failed: {0}")]
    Unpack(String),
    /// A failure of this code, whose words held a secret.
    #[error("the registry's answer repeats what it was sent, so it is not shown")]
    Withheld(FailureCode),
    #[error("cannot {action} {}", .path.display())]
    Storage {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl ImageError {
    pub(crate) fn new(image: impl fmt::Display, phase: Phase, cause: Cause) -> Self {
        Self { subject: image.to_string(), is_login: false, phase, cause: Box::new(cause) }
    }

    /// A login could not be checked.
    pub(crate) fn of_login(registry: &str, cause: Cause) -> Self {
        let (subject, phase) = (clean(registry), Phase::Resolve);
        Self { subject, is_login: true, phase, cause: Box::new(cause) }
    }

    /// The stable word for the cause.
    pub fn code(&self) -> FailureCode {
        self.cause.code()
    }

    /// The part of a deployment that this belongs to.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What went wrong, without the name of the image.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// What to do now, as a sentence.
    pub fn hint(&self) -> Option<String> {
        self.cause.hint(&self.subject)
    }

    /// When a rate limit ends, as far as the registry said it.
    pub fn retry_after(&self) -> Option<Duration> {
        match *self.cause {
            Cause::RateLimited { retry_after, .. } => retry_after,
            _ => None,
        }
    }

    /// What the image is made for, when it is not made for this machine; empty for every other cause.
    pub fn platforms(&self) -> &[Platform] {
        match &*self.cause {
            Cause::PlatformMissing(platforms) => platforms,
            _ => &[],
        }
    }
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doing = match self.phase {
            _ if self.is_login => "checking the login at",
            Phase::Pull => "pulling",
            Phase::Build => "keeping",
            _ => "resolving",
        };
        write!(f, "{doing} {} failed: {}", self.subject, self.cause)?;
        match &*self.cause {
            Cause::Storage { source, .. } => write!(f, ": {source}"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for ImageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.cause)
    }
}

impl Cause {
    /// A failed operation on a file; a full disk is told apart from every other cause.
    pub(crate) fn storage(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => disk_full(path),
            _ => Cause::Storage { action, path, source },
        }
    }

    pub(crate) fn code(&self) -> FailureCode {
        match self {
            Cause::Unreachable { .. } | Cause::PrivateAddress { .. } | Cause::ConnectionLost { .. } => {
                FailureCode::RegistryUnreachable
            }
            Cause::Tls { .. } => FailureCode::RegistryTlsInvalid,
            Cause::Timeout { .. } => FailureCode::RegistryTimeout,
            Cause::Registry { .. } => FailureCode::RegistryError,
            Cause::RateLimited { .. } => FailureCode::RateLimited,
            Cause::CredentialRejected { .. } | Cause::CredentialExpired { .. } => {
                FailureCode::CredentialRejected
            }
            Cause::CredentialScopeMissing { .. } => FailureCode::CredentialScopeMissing,
            Cause::CredentialElsewhere { .. } | Cause::CredentialInPlain { .. } => {
                FailureCode::CredentialHostMismatch
            }
            Cause::Unauthorized { .. } => FailureCode::RegistryUnauthorized,
            Cause::AccessDenied { .. } => FailureCode::ImageAccessDenied,
            Cause::ImageNotFound { .. } | Cause::NotLoaded => FailureCode::ImageNotFound,
            Cause::TagNotFound { .. } => FailureCode::TagNotFound,
            Cause::DigestNotFound { .. } => FailureCode::DigestNotFound,
            Cause::ManifestInvalid(_) | Cause::NotALayout { .. } => FailureCode::ManifestInvalid,
            Cause::ManifestUnsupported(_) | Cause::LoadedOnly => FailureCode::ManifestUnsupported,
            Cause::ConfigInvalid(_) => FailureCode::ConfigInvalid,
            Cause::PlatformMissing(_) => FailureCode::PlatformMissing,
            Cause::DigestMismatch { .. } => FailureCode::DigestMismatch,
            Cause::LayerInvalid { .. } => FailureCode::LayerInvalid,
            Cause::LayerMissing { .. } | Cause::LayerNotHere(_) => FailureCode::LayerMissing,
            Cause::DiskFull { .. } => FailureCode::DiskFull,
            Cause::Withheld(code) => *code,
            Cause::Unpack(_) | Cause::KeptDamaged { .. } | Cause::Locked { .. } | Cause::Storage { .. } => {
                FailureCode::InternalError
            }
        }
    }

    fn hint(&self, image: &str) -> Option<String> {
        let text = match self {
            Cause::Unreachable { registry, .. } => format!(
                "Check the name {registry} in the image reference and the network of this server. A registry \
                 without https must be named with --insecure-registry {registry}."
            ),
            Cause::PrivateAddress { host, .. } => format!(
                "If {host} is a registry of yours, the administrator allows it with --private-registry \
                 HOST:PORT, or without https with --insecure-registry HOST:PORT."
            ),
            Cause::Tls { registry, .. } => format!(
                "Check the certificate of {registry}. A registry without https must be named with \
                 --insecure-registry {registry}."
            ),
            Cause::Timeout { .. }
            | Cause::ConnectionLost { .. }
            | Cause::Registry { .. }
            | Cause::Withheld(_) => {
                "Try again in a moment; if it stays, ask who runs the registry.".to_owned()
            }
            Cause::RateLimited { retry_after: Some(wait), .. } => {
                format!("Try again in {} seconds, or log in to the registry for a higher limit.", wait.as_secs())
            }
            Cause::RateLimited { .. } => "Try again later, or log in for a higher limit.".to_owned(),
            Cause::CredentialRejected { .. } => {
                "Check its user name, and give it a new password or access token; the old one may have expired \
                 or been revoked. If the image is public, deploy it without a credential."
                    .to_owned()
            }
            Cause::CredentialExpired { registry, .. } => format!(
                "Make a new access token at {registry} and give it to the credential. If the image is public, \
                 deploy it without a credential."
            ),
            Cause::CredentialScopeMissing { registry, .. } => format!(
                "Make an access token at {registry} that may read packages or the registry, and give it to the \
                 credential."
            ),
            Cause::CredentialInPlain { registry } => format!(
                "Give {registry} a certificate and name it with --private-registry {registry}, or pull without \
                 a credential."
            ),
            Cause::CredentialElsewhere { .. } => {
                "Use the registry's own name in the image reference, or ask who runs it.".to_owned()
            }
            Cause::Unauthorized { .. } => {
                "Check the spelling. If the image is private, add a registry credential for it.".to_owned()
            }
            Cause::AccessDenied { username: Some(_), .. } => {
                "Give this account the right to pull the image, or use another account.".to_owned()
            }
            Cause::AccessDenied { username: None, .. } => {
                "Check the spelling. If the image is private, add a registry credential for it.".to_owned()
            }
            Cause::ImageNotFound { .. } => {
                "Check the spelling of the image's name. Some registries say the same of an image that this \
                 account may not see."
                    .to_owned()
            }
            Cause::NotLoaded => {
                format!("Load it first: darsena images load FILE {image}. Names under localhost/ are local.")
            }
            Cause::LoadedOnly => "Push it to a registry and name it there.".to_owned(),
            Cause::TagNotFound { others, .. } if others.is_empty() => "Check the tag.".to_owned(),
            Cause::TagNotFound { others, .. } => format!("Tags it has: {}.", others.join(", ")),
            Cause::DigestNotFound { .. } => "Check the digest, or name a tag.".to_owned(),
            Cause::ManifestInvalid(_) | Cause::ConfigInvalid(_) | Cause::LayerInvalid { .. } => {
                "Build and push the image again.".to_owned()
            }
            Cause::ManifestUnsupported(_) => "Push it as an OCI or Docker (schema 2) image.".to_owned(),
            Cause::PlatformMissing(_) => {
                "Build it for linux/amd64: docker build --platform linux/amd64.".to_owned()
            }
            Cause::DigestMismatch { .. } => {
                "The bytes changed on the way or at the registry. Try again; if it stays, push the image again."
                    .to_owned()
            }
            Cause::LayerMissing { .. } => "Push the image again.".to_owned(),
            Cause::LayerNotHere(_) => "Deploy the image again; its layers are then fetched.".to_owned(),
            Cause::DiskFull { .. } => {
                "Free some room on the disk (df -h and df -i show it) or remove applications that are not needed."
                    .to_owned()
            }
            Cause::NotALayout { .. } => {
                "Give an OCI layout, as a folder or a tar (for example: skopeo copy … oci-archive:FILE)."
                    .to_owned()
            }
            Cause::KeptDamaged { .. } => {
                "Deploy its application again, which fetches it anew, and look at the server's disk.".to_owned()
            }
            Cause::Locked { .. } => {
                "Perhaps a darsena images load was stopped with Ctrl-Z: let it go on (fg) or end it, then try again. \
                 lslocks on the server shows which process holds the lock."
                    .to_owned()
            }
            Cause::Unpack(_) => "Run darsena doctor on the server.".to_owned(),
            Cause::Storage { source, .. } if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                "The disk is mounted read-only, which the kernel does to a disk that fails (dmesg shows it). Make \
                 it writable again; what runs goes on meanwhile."
                    .to_owned()
            }
            Cause::Storage { .. } => "Look at the server's disk and at the kernel's messages (dmesg).".to_owned(),
        };
        Some(text)
    }
}

fn pulls_left(left: &Option<u64>) -> String {
    left.map(|left| format!("; {left} are left")).unwrap_or_default()
}

fn as_whom(username: &Option<String>) -> String {
    username.as_ref().map(|name| format!(" for {name}")).unwrap_or_default()
}

fn list(platforms: &[Platform]) -> String {
    match platforms {
        [] => "nothing that runs".to_owned(),
        some => some.iter().map(Platform::to_string).collect::<Vec<_>>().join(", "),
    }
}
