//! Registry credentials: a login for one registry host, without its secret.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::id::{CompanyId, CredentialId};

/// A stored login. The secret is not here: it is unsealed for the one request that needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    pub id: CredentialId,
    pub company: CompanyId,
    /// As the client sent it.
    pub name: String,
    pub registry: RegistryKind,
    /// Canonical registry host, with `:port` when it has one, as [`crate::image::Reference::host`] gives it.
    /// `None` only for `ecr` without a host: it then fits every host of Amazon ECR.
    pub host: Option<String>,
    /// As the client sent it.
    pub username: String,
    pub status: CredentialStatus,
    /// Last time the registry answered yes or no to this login.
    pub last_verified_at: Option<Timestamp>,
    /// Last pull or inspection made with it.
    pub last_used_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Result of the last check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CredentialStatus {
    /// Never checked, or changed since.
    Unverified,
    Valid,
    Rejected,
}

impl CredentialStatus {
    /// The word of API v3.
    pub fn as_str(self) -> &'static str {
        match self {
            CredentialStatus::Unverified => "unverified",
            CredentialStatus::Valid => "valid",
            CredentialStatus::Rejected => "rejected",
        }
    }
}

/// The family of a registry; the words are those of API v3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RegistryKind {
    DockerHub,
    Gcr,
    Ecr,
    Github,
    Gitlab,
    DigitalOcean,
    Custom,
}

impl RegistryKind {
    pub const ALL: [RegistryKind; 7] = [
        RegistryKind::DockerHub,
        RegistryKind::Github,
        RegistryKind::Gitlab,
        RegistryKind::Gcr,
        RegistryKind::Ecr,
        RegistryKind::DigitalOcean,
        RegistryKind::Custom,
    ];

    /// The word of API v3.
    pub fn as_str(self) -> &'static str {
        match self {
            RegistryKind::DockerHub => "dockerHub",
            RegistryKind::Gcr => "gcr",
            RegistryKind::Ecr => "ecr",
            RegistryKind::Github => "github",
            RegistryKind::Gitlab => "gitlab",
            RegistryKind::DigitalOcean => "digitalOcean",
            RegistryKind::Custom => "custom",
        }
    }

    /// The kind with a word of [`RegistryKind::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The host of a credential that names none.
    pub fn default_host(self) -> Option<&'static str> {
        match self {
            RegistryKind::DockerHub => Some("docker.io"),
            RegistryKind::Gcr => Some("gcr.io"),
            RegistryKind::Github => Some("ghcr.io"),
            RegistryKind::Gitlab => Some("registry.gitlab.com"),
            RegistryKind::DigitalOcean => Some("registry.digitalocean.com"),
            RegistryKind::Ecr | RegistryKind::Custom => None,
        }
    }
}

impl Credential {
    /// Whether it may be sent to the registry `host` (canonical, with its port). The host must be exactly its own;
    /// names that only look alike, sub-domains and other ports are other registries.
    pub fn fits(&self, host: &str) -> bool {
        match &self.host {
            Some(own) => own == host,
            None => self.registry == RegistryKind::Ecr && is_ecr(host),
        }
    }
}

/// `ACCOUNT.dkr.ecr.REGION.amazonaws.com`, as Amazon names the registries of an account: the account has twelve
/// digits, the region is one label.
fn is_ecr(host: &str) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    let [account, "dkr", "ecr", region, "amazonaws", "com"] = labels.as_slice() else { return false };
    let is_label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && !region.is_empty()
        && region.chars().all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(registry: RegistryKind, host: Option<&str>) -> Credential {
        Credential {
            id: CredentialId::new(),
            company: CompanyId::new(),
            name: "team".into(),
            registry,
            host: host.map(str::to_owned),
            username: "bot".into(),
            status: CredentialStatus::Unverified,
            last_verified_at: None,
            last_used_at: None,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_credential_fits_its_own_host_and_no_other() {
        let github = credential(RegistryKind::Github, Some("ghcr.io"));
        assert!(github.fits("ghcr.io"));
        for other in ["ghcr.io.evil.tld", "evil.tld", "ghcr.io:443", "a.ghcr.io", "GHCR.io", "ghcr.io."] {
            assert!(!github.fits(other), "{other}");
        }
    }

    #[test]
    fn an_ecr_credential_without_a_host_fits_registries_of_accounts_only() {
        let ecr = credential(RegistryKind::Ecr, None);
        assert!(ecr.fits("123456789012.dkr.ecr.eu-south-1.amazonaws.com"));
        for other in [
            "docker.io",
            "dkr.ecr.eu-south-1.amazonaws.com",
            "12345678901x.dkr.ecr.eu-south-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-south-1.amazonaws.com.evil.tld",
            "123456789012.dkr.ecr.eu-south-1.amazonaws.com:444",
        ] {
            assert!(!ecr.fits(other), "{other}");
        }
    }

    #[test]
    fn every_kind_has_its_word() {
        for kind in RegistryKind::ALL {
            assert_eq!(RegistryKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(RegistryKind::parse("DockerHub"), None);
    }
}
