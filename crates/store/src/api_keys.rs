//! API keys. Of a token only its sha256 is kept. Whether a key is enabled and not expired is the caller's to
//! decide, from the record.

use jiff::SignedDuration;
use model::access::{ApiKey, Capability};
use model::{ApiKeyId, CompanyId, Timestamp};
use rusqlite::{Connection, Row, params};

use crate::query::{List, Query};
use crate::{CompanyStore, InstanceStore, Listed, Page, Result, TokenHash, row};

/// A write for every request would be too much: the moment of the last use is this coarse.
const USE_INTERVAL: SignedDuration = SignedDuration::from_mins(1);

/// What a rotation puts in place of the token.
#[derive(Clone)]
pub struct NewToken {
    pub hash: TokenHash,
    /// First six and last four characters.
    pub masked: String,
    /// Until when the old token is good too; `None`: it is not.
    pub old_valid_until: Option<Timestamp>,
}

impl InstanceStore {
    /// The key with a token, and whether it is the old token of a rotated key: the token alone tells the company.
    pub async fn key_by_token_hash(&self, hash: TokenHash) -> Result<Option<(ApiKey, bool)>> {
        let sql =
            "SELECT *, token_hash <> ?1 AS is_old FROM api_keys WHERE token_hash = ?1 OR old_token_hash = ?1";
        self.store.read(move |db| db.maybe(sql, [hash], |row| Ok((api_key(row)?, row.get("is_old")?)))).await
    }

    /// Notes that a key was used; at most once a minute.
    pub async fn touch_key(&self, key: &ApiKey, now: Timestamp) -> Result<()> {
        let is_fresh = |last: Timestamp| last <= now && now.duration_since(last) < USE_INTERVAL;
        if key.last_used_at.is_some_and(is_fresh) {
            return Ok(());
        }
        let id = key.id.to_string();
        let sql = "UPDATE api_keys SET last_used_at = ?2 WHERE id = ?1";
        self.store.write(move |db| db.change_one(sql, params![id, row::nanoseconds(now)])).await
    }
}

impl CompanyStore {
    /// Adds a key.
    pub async fn create_api_key(&self, key: &ApiKey, hash: TokenHash) -> Result<()> {
        self.check_owner(key.company)?;
        let key = key.clone();
        self.store.write(move |db| insert(db, &key, &hash)).await
    }

    /// One key.
    pub async fn api_key(&self, id: ApiKeyId) -> Result<ApiKey> {
        let (id, company) = (id.to_string(), self.id());
        let sql = "SELECT * FROM api_keys WHERE id = ?1 AND company = ?2";
        self.store.read(move |db| db.one(sql, [id, company], api_key)).await
    }

    /// Keys, newest first.
    pub async fn api_keys(&self, page: Page) -> Result<Listed<ApiKey>> {
        const KEYS: List = List { columns: "*", from: "api_keys WHERE company = ?1", order: "seq DESC" };
        let company = self.id();
        self.store.read(move |db| db.part(&KEYS, &[&company], page, api_key)).await
    }

    /// Changes name, roles and capabilities, each as a whole, and the moment of the change.
    pub async fn update_api_key(&self, key: &ApiKey) -> Result<()> {
        self.check_owner(key.company)?;
        let key = key.clone();
        let sql = "UPDATE api_keys SET name = ?3, roles = ?4, capabilities = ?5, updated_at = ?6
                   WHERE id = ?1 AND company = ?2";
        self.store
            .write(move |db| {
                let (roles, capabilities) = (row::to_json(&key.roles)?, row::to_json(&key.capabilities)?);
                let (id, company, updated_at) =
                    (key.id.to_string(), key.company.to_string(), row::nanoseconds(key.updated_at));
                db.change_one(sql, params![id, company, key.name, roles, capabilities, updated_at])
            })
            .await
    }

    /// Switches a key on or off.
    pub async fn set_api_key_enabled(&self, id: ApiKeyId, enabled: bool) -> Result<()> {
        let (id, company, now) = (id.to_string(), self.id(), row::nanoseconds(Timestamp::now()));
        let sql = "UPDATE api_keys SET is_enabled = ?3, updated_at = ?4 WHERE id = ?1 AND company = ?2";
        self.store.write(move |db| db.change_one(sql, params![id, company, enabled, now])).await
    }

    /// Gives a key another token. The old one is good until the moment named, one from an earlier rotation no
    /// longer.
    pub async fn rotate_api_key(&self, id: ApiKeyId, token: NewToken) -> Result<()> {
        let (id, company, now) = (id.to_string(), self.id(), row::nanoseconds(Timestamp::now()));
        let sql = "UPDATE api_keys
                   SET old_token_hash = iif(?5 IS NULL, NULL, token_hash), old_token_expired_at = ?5,
                       token_hash = ?3, masked_token = ?4, updated_at = ?6
                   WHERE id = ?1 AND company = ?2";
        let until = token.old_valid_until.map(row::nanoseconds);
        self.store
            .write(move |db| db.change_one(sql, params![id, company, token.hash, token.masked, until, now]))
            .await
    }

    /// Removes a key; its tokens are void at once.
    pub async fn delete_api_key(&self, id: ApiKeyId) -> Result<()> {
        let (id, company) = (id.to_string(), self.id());
        let sql = "DELETE FROM api_keys WHERE id = ?1 AND company = ?2";
        self.store.write_on_reserve(move |db| db.change_one(sql, [id, company])).await
    }
}

/// Adds a key.
pub fn insert(db: &Connection, key: &ApiKey, hash: &TokenHash) -> Result<()> {
    db.change_one(
        "INSERT INTO api_keys (id, company, name, is_enabled, source, masked_token, roles, capabilities, token_hash,
                               last_used_at, expired_at, old_token_expired_at, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        params![
            key.id.to_string(),
            key.company.to_string(),
            key.name,
            key.is_enabled,
            key.source,
            key.masked_token,
            row::to_json(&key.roles)?,
            row::to_json(&key.capabilities)?,
            hash,
            key.last_used_at.map(row::nanoseconds),
            key.expired_at,
            key.old_token_expired_at.map(row::nanoseconds),
            row::nanoseconds(key.created_at),
            row::nanoseconds(key.updated_at),
        ],
    )
}

/// Takes capabilities that are limited to a resource from all keys of a company, because the resource goes.
pub fn drop_capabilities(db: &Connection, company: CompanyId, resource: &str) -> Result<()> {
    let sql = "SELECT id, capabilities FROM api_keys WHERE company = ?1 AND instr(capabilities, ?2) > 0";
    let keys: Vec<(String, Vec<Capability>)> = db.all(sql, [&company.to_string(), resource], |row| {
        Ok((row.get("id")?, row::json(row, "capabilities")?))
    })?;
    for (id, mut capabilities) in keys {
        capabilities.retain(|capability| capability.id_resource.as_deref() != Some(resource));
        let sql = "UPDATE api_keys SET capabilities = ?2 WHERE id = ?1";
        db.change_one(sql, [id, row::to_json(&capabilities)?])?;
    }
    Ok(())
}

fn api_key(row: &Row<'_>) -> Result<ApiKey> {
    Ok(ApiKey {
        id: row::parsed(row, "id")?,
        company: row::parsed(row, "company")?,
        name: row.get("name")?,
        is_enabled: row.get("is_enabled")?,
        source: row.get("source")?,
        masked_token: row.get("masked_token")?,
        roles: row::json(row, "roles")?,
        capabilities: row::json(row, "capabilities")?,
        last_used_at: row::at_if_any(row, "last_used_at")?,
        expired_at: row.get("expired_at")?,
        old_token_expired_at: row::at_if_any(row, "old_token_expired_at")?,
        created_at: row::at(row, "created_at")?,
        updated_at: row::at(row, "updated_at")?,
    })
}
