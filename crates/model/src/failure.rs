//! Why a deployment did not finish, in words that API, CLI and console show alike.

use serde::{Deserialize, Serialize};

/// The cause, stored with the deployment. It answers: what failed ([`Failure::during`]), on what and why
/// ([`Failure::message`]), what to do now ([`Failure::hint`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub during: Phase,
    pub code: FailureCode,
    /// One sentence with the names involved; never a secret.
    pub message: String,
    /// What to change.
    pub hint: Option<String>,
    /// How the container ended: 0 to 255, 128 + n for signal n.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The container's last lines, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log_tail: Vec<String>,
}

impl Failure {
    /// A failure without exit code and log lines.
    pub fn new(during: Phase, code: FailureCode, message: impl Into<String>, hint: Option<&str>) -> Self {
        let hint = hint.map(str::to_owned);
        Self { during, code, message: message.into(), hint, exit_code: None, log_tail: Vec::new() }
    }
}

/// The part of a deployment that failed, as in `DeploymentFailure.during` of API v3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Reference to digest.
    Resolve,
    /// Repository to files.
    Checkout,
    /// Files to image.
    Build,
    /// Layers to files.
    Pull,
    /// The container was not created, or ended before it was healthy.
    Start,
    /// The port or the probe did not answer.
    Health,
    /// The traffic could not be switched.
    Route,
}

impl Phase {
    /// The word of API v3.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Resolve => "resolve",
            Phase::Checkout => "checkout",
            Phase::Build => "build",
            Phase::Pull => "pull",
            Phase::Start => "start",
            Phase::Health => "health",
            Phase::Route => "route",
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal),* $(,)?) => {
        /// A stable word for a cause: `ImageErrorCode` of API v3, and the codes of `DeploymentFailure`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum FailureCode {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)*
        }

        impl FailureCode {
            /// The word as API v3 writes it.
            pub fn as_str(self) -> &'static str {
                match self { $(FailureCode::$variant => $text,)* }
            }
        }
    };
}

codes! {
    ImageReferenceInvalid = "image_reference_invalid",
    CredentialHostMismatch = "credential_host_mismatch",
    RegistryUnreachable = "registry_unreachable",
    RegistryTlsInvalid = "registry_tls_invalid",
    RegistryTimeout = "registry_timeout",
    RegistryError = "registry_error",
    RateLimited = "rate_limited",
    CredentialRejected = "credential_rejected",
    /// The login works; its token may not pull anything.
    CredentialScopeMissing = "credential_scope_missing",
    RegistryUnauthorized = "registry_unauthorized",
    ImageAccessDenied = "image_access_denied",
    ImageNotFound = "image_not_found",
    TagNotFound = "tag_not_found",
    DigestNotFound = "digest_not_found",
    ManifestInvalid = "manifest_invalid",
    ManifestUnsupported = "manifest_unsupported",
    ConfigInvalid = "config_invalid",
    PlatformMissing = "platform_missing",
    /// A layer's bytes are not those of its digest, or its files not those of its diff id.
    DigestMismatch = "digest_mismatch",
    /// A layer cannot be unpacked: it escapes, is broken, or goes beyond a limit.
    LayerInvalid = "layer_invalid",
    /// A layer named by the manifest is not at the registry.
    LayerMissing = "layer_missing",
    /// No room on the disk.
    DiskFull = "disk_full",
    GitUrlInvalid = "git_url_invalid",
    /// The Git server cannot be reached, or its certificate is not trusted.
    GitUnreachable = "git_unreachable",
    /// The login was not accepted, or the repository wants one.
    GitUnauthorized = "git_unauthorized",
    /// The credential is for another server or another scheme.
    GitCredentialMismatch = "git_credential_mismatch",
    /// The server has another host key than the one that was pinned.
    GitHostKeyChanged = "git_host_key_changed",
    /// No such repository, or this login does not see it.
    RepositoryNotFound = "repository_not_found",
    /// No such branch, tag or commit.
    RevisionNotFound = "revision_not_found",
    /// Larger than what is fetched.
    RepositoryTooLarge = "repository_too_large",
    /// The files cannot be used: a folder that is missing, a link that leads out.
    RepositoryInvalid = "repository_invalid",
    /// No Dockerfile, and nothing that one could be made for.
    DockerfileNotFound = "dockerfile_not_found",
    DockerfileInvalid = "dockerfile_invalid",
    /// A step of the Dockerfile failed.
    BuildFailed = "build_failed",
    /// The build wanted more processor time, processes, memory or disk than it may have.
    BuildTooLarge = "build_too_large",
    /// What builds images is not installed or does not work here.
    BuilderMissing = "builder_missing",
    CommandNotFound = "command_not_found",
    /// The container ended before it was healthy.
    ExitedEarly = "exited_early",
    OutOfMemory = "out_of_memory",
    PortNotListening = "port_not_listening",
    ProbeFailed = "probe_failed",
    Timeout = "timeout",
    /// A person asked for it.
    Cancelled = "cancelled",
    InternalError = "internal_error",
}
