//! Whole installation.
use model::access::{ApiKey, Capability, Company, Role, User};
use model::image::Digest;
use model::{App, CompanyId, Deployment, Release, Timestamp};

use crate::{Store, StoreError, TokenHash};

type Result<T> = std::result::Result<T, StoreError>;

/// The few queries that are for no company.
#[derive(Clone)]
pub struct InstanceStore {
    pub(crate) store: Store,
}

/// What the first account is made of.
pub struct Setup {
    /// Text of the file `setup-token`.
    pub token: String,
    pub email: String,
    /// PHC string.
    pub password_hash: String,
    pub company_name: String,
    pub key: NewKey,
}

/// The first API key, whose company does not exist yet.
pub struct NewKey {
    pub name: String,
    /// `DASHBOARD`, `CLI` or `EXTERNAL`.
    pub source: String,
    pub masked_token: String,
    pub roles: Vec<Role>,
    pub capabilities: Vec<Capability>,
    pub token_hash: TokenHash,
}

/// Who did what, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    pub at: Timestamp,
    /// `None` when it is nobody's, such as a refused sign-in.
    pub company: Option<CompanyId>,
    /// User or API key.
    pub actor: String,
    /// Such as `app.delete`.
    pub action: String,
    /// Id or name of what it was done to.
    pub target: String,
    pub ip: Option<String>,
}

impl InstanceStore {
    pub async fn is_set_up(&self) -> Result<bool> { unimplemented!() }
    /// The clear text while it is unused.
    pub async fn setup_token(&self) -> Result<Option<String>> { unimplemented!() }
    /// Exactly once.
    pub async fn complete_setup(&self, setup: Setup) -> Result<(Company, User, ApiKey)> { let _ = setup; unimplemented!() }
    /// The user and the PHC string of the password.
    pub async fn user_by_email(&self, email: &str) -> Result<Option<(User, String)>> { let _ = email; unimplemented!() }
    /// `true`: it is the old token of a rotated key. Whether it is enabled or expired is the caller's to decide.
    pub async fn key_by_token_hash(&self, hash: TokenHash) -> Result<Option<(ApiKey, bool)>> { let _ = hash; unimplemented!() }
    /// Notes that a key was used; at most once a minute.
    pub async fn touch_key(&self, key: &ApiKey, now: Timestamp) -> Result<()> { let _ = (key, now); unimplemented!() }
    pub async fn serving(&self) -> Result<Vec<(App, Deployment, Release)>> { unimplemented!() }
    pub async fn unfinished(&self) -> Result<Vec<Deployment>> { unimplemented!() }
    pub async fn kept_manifests(&self) -> Result<Vec<Digest>> { unimplemented!() }
    pub async fn append_audit(&self, entry: &AuditEntry) -> Result<()> { let _ = entry; unimplemented!() }
}
