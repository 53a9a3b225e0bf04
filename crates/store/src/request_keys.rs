//! Requests that are carried out once. A client that heard no answer sends its request again under the same key
//! (`Idempotency-Key`, draft-ietf-httpapi-idempotency-key-header) and gets what the first one started.
//!
//! The key is written in the transaction that writes the deployment, so after a crash both are there or neither is.
//! Nothing of the request itself is stored but its sha256.

use jiff::SignedDuration;
use model::{CompanyId, Deployment, DeploymentId, Timestamp};
use rusqlite::{Connection, params};

use crate::query::Query;
use crate::{CompanyStore, Result, StoreError, deployments, row};

/// How long a key stands for its first request.
const KEPT: SignedDuration = SignedDuration::from_hours(24);
/// How many keys that are too old go with each one that comes.
const PRUNED_AT_ONCE: u32 = 100;

/// A request that may arrive again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// What the client calls it: 1 to 255 visible ASCII characters, unique in its company.
    pub key: String,
    /// What it asks for, as a sha256 in hex: another request under the same key is refused.
    pub request: String,
}

impl CompanyStore {
    /// What a request with this key started within the last 24 hours, as it is by now.
    /// [`StoreError::RequestKeyReused`] when that was another request.
    pub async fn started_by(&self, key: &RequestKey) -> Result<Option<Deployment>> {
        let (company, key) = (self.company, key.clone());
        self.store.read(move |db| find(db, company, &key)).await
    }
}

/// As [`CompanyStore::started_by`], within a change.
pub fn find(db: &Connection, company: CompanyId, wanted: &RequestKey) -> Result<Option<Deployment>> {
    let sql =
        "SELECT request, deployment FROM request_keys WHERE company = ?1 AND key = ?2 AND created_at > ?3";
    let known = db.maybe(sql, params![company.to_string(), wanted.key, oldest()], |row| {
        Ok((row.get::<_, String>("request")?, row::parsed(row, "deployment")?))
    })?;
    match known {
        None => Ok(None),
        Some((request, _)) if request != wanted.request => Err(StoreError::RequestKeyReused),
        Some((_, deployment)) => deployments::find(db, deployment, company).map(Some),
    }
}

/// Writes down what a request started, in place of what it stood for long ago.
pub fn note(db: &Connection, company: CompanyId, key: &RequestKey, started: DeploymentId) -> Result<()> {
    let old = "DELETE FROM request_keys WHERE (company, key) IN
                   (SELECT company, key FROM request_keys WHERE created_at <= ?1 ORDER BY created_at LIMIT ?2)";
    db.change(old, params![oldest(), PRUNED_AT_ONCE])?;
    let new = "INSERT OR REPLACE INTO request_keys (company, key, request, deployment, created_at)
               VALUES (?1, ?2, ?3, ?4, ?5)";
    let now = row::nanoseconds(Timestamp::now());
    db.change_one(new, params![company.to_string(), key.key, key.request, started.to_string(), now])
}

/// Keys of this moment and before count no more.
fn oldest() -> i64 {
    row::nanoseconds(Timestamp::now().checked_sub(KEPT).unwrap_or(Timestamp::MIN))
}
