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
    /// A stored login for a Git server.
    GitCredentialId,
    /// A place where containers run. There is one: this machine.
    ClusterId,
    /// A size that a process can have.
    ResourceTypeId,
}

/// The name of a container at the engine. It follows from its deployment and the number of the instance, so
/// undoing needs no memory of how far creating got.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContainerId(String);

impl ContainerId {
    /// An instance's container: the 32 hex digits of its deployment, and `-N` for every instance but the first,
    /// whose number is 0.
    pub fn of(deployment: DeploymentId, instance: u16) -> Self {
        let deployment = deployment.uuid().simple();
        match instance {
            0 => Self(deployment.to_string()),
            number => Self(format!("{deployment}-{number}")),
        }
    }

    /// The text, safe as a file name and as an argument: hex digits and a dash between two of them.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The deployment whose container this is.
    pub fn deployment(&self) -> DeploymentId {
        self.parts().0
    }

    /// The number of the instance, from 0.
    pub fn instance(&self) -> u16 {
        self.parts().1
    }

    fn parts(&self) -> (DeploymentId, u16) {
        parts(&self.0).expect("there is no other way to make one")
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
        let (deployment, instance) =
            parts(text).ok_or("a container id is 32 lower-case hex digits, and -N for a further instance")?;
        // Only the way in which it is written here names a container.
        let id = Self::of(deployment, instance);
        (id.0 == text).then_some(id).ok_or("a container id is written in one way only")
    }
}

fn parts(text: &str) -> Option<(DeploymentId, u16)> {
    let (deployment, instance) = match text.split_once('-') {
        Some((deployment, instance)) => (deployment, instance.parse().ok()?),
        None => (text, 0),
    };
    Uuid::try_parse(deployment).ok().map(|uuid| (DeploymentId(uuid), instance))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_named_after_its_deployment_and_instance() {
        let deployment: DeploymentId = "01920000-0000-7000-8000-000000000001".parse().unwrap();
        let [first, fourth] = [ContainerId::of(deployment, 0), ContainerId::of(deployment, 3)];
        assert_eq!(first.as_str(), "01920000000070008000000000000001");
        assert_eq!(fourth.as_str(), "01920000000070008000000000000001-3");
        for (id, instance) in [(first, 0), (fourth, 3)] {
            assert_eq!((id.deployment(), id.instance()), (deployment, instance));
            assert_eq!(id.as_str().parse(), Ok(id));
        }
    }

    #[test]
    fn whatever_is_written_otherwise_names_no_container() {
        for text in [
            "",
            "0192",
            "01920000-0000-7000-8000-000000000001",
            "01920000000070008000000000000001-0",
            "01920000000070008000000000000001-03",
            "01920000000070008000000000000001-+3",
            "01920000000070008000000000000001-70000",
            "01920000000070008000000000000001-",
            "0192000000007000800000000000000F",
            "../920000000070008000000000000001",
        ] {
            assert!(text.parse::<ContainerId>().is_err(), "{text:?}");
        }
    }
}
