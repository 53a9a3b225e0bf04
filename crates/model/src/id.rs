//! Ids: UUIDs that cannot be mixed up. New ones are version 7, so that their order is the order of creation.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh id, later in order than every earlier one of this machine.
            #[expect(clippy::new_without_default, reason = "a default that differs at each call would surprise")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// Wraps an id that was made elsewhere, such as a fixed one.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The bare UUID.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    )*};
}

ids! {
    /// Who owns applications.
    CompanyId,
    /// A person with an account.
    UserId,
    /// A key for the API.
    ApiKeyId,
    /// A group of applications.
    ProjectId,
    /// An application.
    AppId,
    /// A process of an application.
    ProcessId,
    /// An environment variable of an application.
    EnvVarId,
    /// A release: image digest and configuration, immutable.
    ReleaseId,
    /// The act of making a release serve.
    DeploymentId,
    /// A stored registry credential.
    CredentialId,
    /// A place where containers run. There is one: this machine.
    ClusterId,
    /// A size that a process can have.
    ResourceTypeId,
}

/// The name of a container at the engine. It is its deployment's, so undoing needs no memory of how far
/// creating got.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContainerId(String);

impl ContainerId {
    /// The container of a deployment: 32 hex digits.
    pub fn of(deployment: DeploymentId) -> Self {
        Self(deployment.uuid().simple().to_string())
    }

    /// The text, safe as a file name and as an argument: hex digits only.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The deployment whose container this is, if the text was made by [`ContainerId::of`].
    pub fn deployment(&self) -> Option<DeploymentId> {
        Uuid::try_parse(&self.0).ok().map(DeploymentId)
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ContainerId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match text.len() == 32 && text.bytes().all(hex) {
            true => Ok(Self(text.to_owned())),
            false => Err("a container id is 32 lower-case hex digits"),
        }
    }
}
