//! The first account. It is made with a one-time token, which lies in `DATA/setup-token` for whoever administers
//! the machine; the database has its hash. Both go when it is used.

use std::path::{Path, PathBuf};

use model::access::{ApiKey, Capability, Company, Role, User};
use model::{ApiKeyId, CompanyId, Timestamp, UserId};
use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use crate::query::Query;
use crate::writer::in_transaction;
use crate::{InstanceStore, Result, StoreError, TokenHash, api_keys, file, key, row, users};

const FILE_NAME: &str = "setup-token";
const HASH: &str = "SELECT value FROM installation WHERE name = 'setup_token_hash'";

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

impl InstanceStore {
    /// Whether the first account exists.
    pub async fn is_set_up(&self) -> Result<bool> {
        self.store.read(is_set_up).await
    }

    /// The setup token while it is unused, for the words printed at the start.
    pub async fn setup_token(&self) -> Result<Option<String>> {
        match self.is_set_up().await? {
            true => Ok(None),
            false => self.store.token_file().read(),
        }
    }

    /// Makes company, owner and first API key, exactly once: [`StoreError::SetupDone`] ever after, and
    /// [`StoreError::SetupTokenWrong`] for another token.
    pub async fn complete_setup(&self, setup: Setup) -> Result<(Company, User, ApiKey)> {
        let made = self.store.write(move |db| first_account(db, setup)).await?;
        // The token is void from here on; its file is removed at the next start if it cannot be now.
        if let Err(error) = self.store.token_file().remove() {
            tracing::warn!(%error, "the used setup token stays on the disk");
        }
        Ok(made)
    }
}

fn first_account(db: &Connection, setup: Setup) -> Result<(Company, User, ApiKey)> {
    if is_set_up(db)? {
        return Err(StoreError::SetupDone);
    }
    // Hashes are compared: how long that takes tells nothing about the token.
    let expected: Vec<u8> = db.one(HASH, [], |row| Ok(row.get(0)?))?;
    if expected != hash(setup.token.trim()) {
        return Err(StoreError::SetupTokenWrong);
    }
    let now = Timestamp::now();
    let company = Company { id: CompanyId::new(), name: setup.company_name, created_at: now };
    db.change(
        "INSERT INTO companies (id, name, created_at) VALUES (?1, ?2, ?3)",
        params![company.id.to_string(), company.name, row::nanoseconds(now)],
    )?;
    let email = users::normal_email(&setup.email);
    let user = User { id: UserId::new(), company: company.id, email, role: Role::Owner, created_at: now };
    users::insert(db, &user, &setup.password_hash)?;
    let NewKey { name, source, masked_token, roles, capabilities, token_hash } = setup.key;
    let key = ApiKey {
        id: ApiKeyId::new(),
        company: company.id,
        name,
        is_enabled: true,
        source,
        masked_token,
        roles,
        capabilities,
        last_used_at: None,
        expired_at: None,
        old_token_expired_at: None,
        created_at: now,
        updated_at: now,
    };
    api_keys::insert(db, &key, &token_hash)?;
    db.change("DELETE FROM installation WHERE name = 'setup_token_hash'", [])?;
    Ok((company, user, key))
}

fn is_set_up(db: &Connection) -> Result<bool> {
    db.one("SELECT EXISTS (SELECT 1 FROM companies)", [], |row| Ok(row.get(0)?))
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// The file with the clear text.
pub struct TokenFile {
    path: PathBuf,
}

impl TokenFile {
    pub fn of(data_dir: &Path) -> Self {
        Self { path: data_dir.join(FILE_NAME) }
    }

    /// Before the setup: file and database have the same token, a new one if the file was lost. After it: no file.
    pub fn match_up(&self, connection: &mut Connection) -> Result<()> {
        if is_set_up(connection)? {
            return self.remove();
        }
        let expected: Option<Vec<u8>> = connection.maybe(HASH, [], |row| Ok(row.get(0)?))?;
        let found = self.read()?.map(|token| hash(&token).to_vec());
        if expected.is_some() && expected == found {
            return Ok(());
        }
        let token = hex::encode(*key::random(&self.path)?);
        file::write_private(&self.path, format!("{token}\n").as_bytes())?;
        in_transaction(connection, |db| {
            let sql = "INSERT OR REPLACE INTO installation (name, value) VALUES ('setup_token_hash', ?1)";
            db.change_one(sql, [hash(&token)])
        })
    }

    fn read(&self) -> Result<Option<String>> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file::failed("reading", &self.path)(error)),
        }
    }

    fn remove(&self) -> Result<()> {
        file::remove(&self.path)
    }
}
