//! Registry credentials. Their secrets are sealed, and unsealed by one method only.

use model::{App, AppId, CompanyId, Credential, CredentialId, CredentialStatus, RegistryKind, Timestamp};
use rusqlite::{Connection, Row, params};

use crate::query::{List, Query};
use crate::seal::{Place, Sealed};
use crate::{CompanyStore, Listed, Page, Result, Secret, StoreError, apps, row};

/// Everything but the secret.
const COLUMNS: &str = "id, company, name, registry, host, username, status, last_verified_at, last_used_at, \
                       created_at, updated_at";

impl CompanyStore {
    /// Adds a credential with its secret.
    pub async fn create_credential(&self, credential: &Credential, secret: &str) -> Result<()> {
        self.check_owner(credential.company)?;
        let (credential, sealed) = (credential.clone(), self.seal(credential.id, secret)?);
        self.store.write(move |db| insert(db, &credential, &sealed)).await
    }

    /// One credential, without its secret.
    pub async fn credential(&self, id: CredentialId) -> Result<Credential> {
        let company = self.company;
        self.store.read(move |db| find(db, id, company)).await
    }

    /// Credentials, newest first.
    pub async fn credentials(&self, page: Page) -> Result<Listed<Credential>> {
        const CREDENTIALS: List =
            List { columns: COLUMNS, from: "credentials WHERE company = ?1", order: "seq DESC" };
        let company = self.id();
        self.store.read(move |db| db.part(&CREDENTIALS, &[&company], page, credential)).await
    }

    /// Every credential, newest first.
    pub async fn all_credentials(&self) -> Result<Vec<Credential>> {
        let company = self.id();
        let sql = format!("SELECT {COLUMNS} FROM credentials WHERE company = ?1 ORDER BY seq DESC");
        self.store.read(move |db| db.all(&sql, [company], credential)).await
    }

    /// Changes name, registry, host and user name, the moment of the change and, when one is given, the secret.
    ///
    /// Status and moment of the last check are the record's when the login changes with it (host, user name or
    /// secret), and stay what they are otherwise. Another host or user name without a secret is
    /// [`StoreError::SecretNeeded`]: a stored secret never goes where it was not entered for.
    pub async fn update_credential(&self, credential: &Credential, secret: Option<&str>) -> Result<()> {
        self.check_owner(credential.company)?;
        let credential = credential.clone();
        let sealed = secret.map(|secret| self.seal(credential.id, secret)).transpose()?;
        self.store.write(move |db| update(db, &credential, sealed)).await
    }

    /// Removes a credential. While applications use it that is [`StoreError::CredentialInUse`]; with `force` they
    /// are pulled anonymously from then on.
    pub async fn delete_credential(&self, id: CredentialId, force: bool) -> Result<()> {
        let company = self.company;
        self.store.write_on_reserve(move |db| delete(db, id, company, force)).await
    }

    /// The applications that use a credential, oldest first.
    pub async fn credential_users(&self, id: CredentialId) -> Result<Vec<App>> {
        let company = self.company;
        self.store
            .read(move |db| {
                find(db, id, company)?;
                users(db, id, company)
            })
            .await
    }

    /// Which application uses which credential, oldest application first.
    pub async fn users_of_credentials(&self) -> Result<Vec<(CredentialId, AppId)>> {
        let company = self.id();
        let sql =
            "SELECT credential, id FROM apps WHERE company = ?1 AND credential IS NOT NULL ORDER BY seq";
        self.store
            .read(move |db| {
                db.all(sql, [company], |row| Ok((row::parsed(row, "credential")?, row::parsed(row, "id")?)))
            })
            .await
    }

    /// A credential with its secret unsealed, both from one look at the row: a secret must never be paired with the
    /// host of a moment before, and sent there.
    pub async fn credential_with_secret(&self, id: CredentialId) -> Result<(Credential, Secret)> {
        let (company, vault) = (self.company, self.store.vault());
        let sql = "SELECT * FROM credentials WHERE id = ?1 AND company = ?2";
        self.store
            .read(move |db| {
                let id = id.to_string();
                db.one(sql, [&id, &company.to_string()], |row| {
                    let sealed: Sealed = row.get("secret")?;
                    Ok((credential(row)?, vault.open_secret(&place(&id, company), &sealed)?))
                })
            })
            .await
    }

    /// Notes the registry's answer to a login. It counts only for the record as it was when the check began, which
    /// its `updated_at` tells; gives whether it counted.
    pub async fn credential_checked(
        &self,
        id: CredentialId,
        status: CredentialStatus,
        at: Timestamp,
        unchanged_since: Timestamp,
    ) -> Result<bool> {
        let company = self.company;
        let sql = "UPDATE credentials SET status = ?3, last_verified_at = ?4
                   WHERE id = ?1 AND company = ?2 AND updated_at = ?5";
        self.store
            .write(move |db| {
                find(db, id, company)?;
                let (at, since) = (row::nanoseconds(at), row::nanoseconds(unchanged_since));
                let params = params![id.to_string(), company.to_string(), status.as_str(), at, since];
                Ok(db.change(sql, params)? == 1)
            })
            .await
    }

    /// Notes that a credential was used.
    pub async fn credential_used(&self, id: CredentialId, at: Timestamp) -> Result<()> {
        let (id, company, at) = (id.to_string(), self.id(), row::nanoseconds(at));
        let sql = "UPDATE credentials SET last_used_at = max(coalesce(last_used_at, ?3), ?3)
                   WHERE id = ?1 AND company = ?2";
        self.store.write(move |db| db.change_one(sql, params![id, company, at])).await
    }

    /// Seals at once, so that the clear text is not handed on.
    fn seal(&self, id: CredentialId, secret: &str) -> Result<Sealed> {
        self.store.vault().seal(&place(&id.to_string(), self.company), secret.as_bytes())
    }
}

fn insert(db: &Connection, credential: &Credential, secret: &Sealed) -> Result<()> {
    db.change_one(
        "INSERT INTO credentials (id, company, name, registry, host, username, secret, status, last_verified_at,
                                  last_used_at, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            credential.id.to_string(),
            credential.company.to_string(),
            credential.name,
            credential.registry.as_str(),
            credential.host,
            credential.username,
            secret,
            credential.status.as_str(),
            credential.last_verified_at.map(row::nanoseconds),
            credential.last_used_at.map(row::nanoseconds),
            row::nanoseconds(credential.created_at),
            row::nanoseconds(credential.updated_at),
        ],
    )
}

fn update(db: &Connection, new: &Credential, secret: Option<Sealed>) -> Result<()> {
    let stored = find(db, new.id, new.company)?;
    let moves = (&stored.host, &stored.username) != (&new.host, &new.username);
    if moves && secret.is_none() {
        return Err(StoreError::SecretNeeded);
    }
    // The record may have been read before a check came to its end.
    let checked = if secret.is_some() { new } else { &stored };
    db.change_one(
        "UPDATE credentials
         SET name = ?3, registry = ?4, host = ?5, username = ?6, secret = coalesce(?7, secret), status = ?8,
             last_verified_at = ?9, updated_at = ?10
         WHERE id = ?1 AND company = ?2",
        params![
            new.id.to_string(),
            new.company.to_string(),
            new.name,
            new.registry.as_str(),
            new.host,
            new.username,
            secret,
            checked.status.as_str(),
            checked.last_verified_at.map(row::nanoseconds),
            row::nanoseconds(new.updated_at),
        ],
    )
}

fn delete(db: &Connection, id: CredentialId, company: CompanyId, force: bool) -> Result<()> {
    find(db, id, company)?;
    let users = users(db, id, company)?;
    if !users.is_empty() && !force {
        let names = users.into_iter().map(|app| (app.id, app.display_name)).collect();
        return Err(StoreError::CredentialInUse(names));
    }
    let (id, company, now) = (id.to_string(), company.to_string(), row::nanoseconds(Timestamp::now()));
    // It is the login of an image or of the base images of a build; a path that a source does not have stays away.
    let sql = "UPDATE apps
               SET source = json_replace(source, '$.Image.credential', NULL, '$.Git.build.base_credential', NULL),
                   updated_at = ?3
               WHERE credential = ?1 AND company = ?2";
    db.change(sql, params![id, company, now])?;
    db.change_one("DELETE FROM credentials WHERE id = ?1 AND company = ?2", [id, company])
}

fn users(db: &Connection, id: CredentialId, company: CompanyId) -> Result<Vec<App>> {
    let sql = "SELECT * FROM apps WHERE credential = ?1 AND company = ?2 ORDER BY seq";
    db.all(sql, [id.to_string(), company.to_string()], apps::app)
}

fn find(db: &Connection, id: CredentialId, company: CompanyId) -> Result<Credential> {
    let sql = format!("SELECT {COLUMNS} FROM credentials WHERE id = ?1 AND company = ?2");
    db.one(&sql, [id.to_string(), company.to_string()], credential)
}

fn credential(row: &Row<'_>) -> Result<Credential> {
    let registry: String = row.get("registry")?;
    Ok(Credential {
        id: row::parsed(row, "id")?,
        company: row::parsed(row, "company")?,
        name: row.get("name")?,
        registry: RegistryKind::parse(&registry)
            .ok_or_else(|| StoreError::Damaged("column registry: no such registry".to_owned()))?,
        host: row.get("host")?,
        username: row.get("username")?,
        status: row::word(row.get("status")?, "status")?,
        last_verified_at: row::at_if_any(row, "last_verified_at")?,
        last_used_at: row::at_if_any(row, "last_used_at")?,
        created_at: row::at(row, "created_at")?,
        updated_at: row::at(row, "updated_at")?,
    })
}

fn place(id: &str, company: CompanyId) -> Place<'_> {
    Place { table: "credentials", column: "secret", row: id, company: Some(company) }
}
