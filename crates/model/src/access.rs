//! Who may do what: companies, people, API keys.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;
use crate::id::{ApiKeyId, CompanyId, UserId};

/// Who owns applications, credentials and keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Company {
    pub id: CompanyId,
    pub name: String,
    pub created_at: Timestamp,
}

/// What a person or a key may do, from most to least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Viewer,
    Developer,
    Admin,
    Owner,
}

impl Role {
    pub const ALL: [Role; 4] = [Role::Owner, Role::Admin, Role::Developer, Role::Viewer];

    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Developer => "developer",
            Role::Admin => "admin",
            Role::Owner => "owner",
        }
    }

    /// One sentence for people.
    pub fn description(self) -> &'static str {
        match self {
            Role::Viewer => "Sees applications, deployments and logs; changes nothing.",
            Role::Developer => "Makes, changes and deploys applications.",
            Role::Admin => "All that a developer may, and manages API keys, credentials and people.",
            Role::Owner => "Everything.",
        }
    }

    /// The fixed id of a role in API v3. Clients keep it.
    pub fn id(self) -> Uuid {
        Uuid::from_u128(0x5a12e001_0000_4000_8000_000000000000 + self as u128 + 1)
    }

    /// The role with an id of [`Role::id`].
    pub fn from_id(id: Uuid) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.id() == id)
    }
}

/// A person's account in a company.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub company: CompanyId,
    /// Trimmed and in lower case.
    pub email: String,
    pub role: Role,
    pub created_at: Timestamp,
}

/// A permission of a key, `RESOURCE:ACTION` such as `APP:READ`, perhaps for one resource only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capability {
    pub id: Uuid,
    pub permission: String,
    pub id_resource: Option<String>,
}

/// A key for the API. The key itself is kept as a hash only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub company: CompanyId,
    pub name: String,
    pub is_enabled: bool,
    /// `DASHBOARD`, `CLI` or `EXTERNAL`.
    pub source: String,
    /// First six and last four characters of the key.
    pub masked_token: String,
    pub roles: Vec<Role>,
    /// In the order in which they were given.
    pub capabilities: Vec<Capability>,
    pub last_used_at: Option<Timestamp>,
    /// The very text that was sent, which clients compare; it was checked to be RFC 3339.
    pub expired_at: Option<String>,
    /// End of the previous key's life during a rotation.
    pub old_token_expired_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}
