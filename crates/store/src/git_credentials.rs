//! Logins for Git servers. Their secrets are sealed, and unsealed by one method only.

use model::git::GitCredential;
use model::{App, AppId, CompanyId, GitCredentialId, Timestamp};
use rusqlite::{Connection, Row, params};

use crate::query::{List, Query};
use crate::seal::{Place, Sealed};
use crate::{CompanyStore, Listed, Page, Result, Secret, StoreError, apps, row};

/// Everything but the secret.
const COLUMNS: &str = "id, company, name, host, login, last_used_at, created_at, updated_at";

impl CompanyStore {
    /// Adds a Git credential with its secret: the token, or the private half of a key.
    pub async fn create_git_credential(&self, credential: &GitCredential, secret: &str) -> Result<()> {
        self.check_owner(credential.company)?;
        let (credential, sealed) = (credential.clone(), self.seal_git(credential.id, secret)?);
        self.store.write(move |db| insert(db, &credential, &sealed)).await
    }

    /// One Git credential, without its secret.
    pub async fn git_credential(&self, id: GitCredentialId) -> Result<GitCredential> {
        let company = self.company;
        self.store.read(move |db| find(db, id, company)).await
    }

    /// Git credentials, newest first.
    pub async fn git_credentials(&self, page: Page) -> Result<Listed<GitCredential>> {
        const CREDENTIALS: List =
            List { columns: COLUMNS, from: "git_credentials WHERE company = ?1", order: "seq DESC" };
        let company = self.id();
        self.store.read(move |db| db.part(&CREDENTIALS, &[&company], page, credential)).await
    }

    /// Every Git credential, newest first.
    pub async fn all_git_credentials(&self) -> Result<Vec<GitCredential>> {
        let company = self.id();
        let sql = format!("SELECT {COLUMNS} FROM git_credentials WHERE company = ?1 ORDER BY seq DESC");
        self.store.read(move |db| db.all(&sql, [company], credential)).await
    }

    /// Changes name, host and login, the moment of the change and, when one is given, the secret. Another host or
    /// login without a secret is [`StoreError::SecretNeeded`]: a stored secret never goes where it was not entered
    /// for.
    pub async fn update_git_credential(
        &self,
        credential: &GitCredential,
        secret: Option<&str>,
    ) -> Result<()> {
        self.check_owner(credential.company)?;
        let credential = credential.clone();
        let sealed = secret.map(|secret| self.seal_git(credential.id, secret)).transpose()?;
        self.store.write(move |db| update(db, &credential, sealed)).await
    }

    /// Removes a Git credential. While applications use it that is [`StoreError::CredentialInUse`]; with `force`
    /// their repositories are fetched without a login from then on.
    pub async fn delete_git_credential(&self, id: GitCredentialId, force: bool) -> Result<()> {
        let company = self.company;
        self.store.write_on_reserve(move |db| delete(db, id, company, force)).await
    }

    /// The applications that use a Git credential, oldest first.
    pub async fn git_credential_users(&self, id: GitCredentialId) -> Result<Vec<App>> {
        let company = self.company;
        self.store
            .read(move |db| {
                find(db, id, company)?;
                users(db, id, company)
            })
            .await
    }

    /// Which application uses which Git credential, oldest application first.
    pub async fn users_of_git_credentials(&self) -> Result<Vec<(GitCredentialId, AppId)>> {
        let company = self.id();
        let sql = "SELECT git_credential, id FROM apps
                   WHERE company = ?1 AND git_credential IS NOT NULL ORDER BY seq";
        self.store
            .read(move |db| {
                db.all(sql, [company], |row| {
                    Ok((row::parsed(row, "git_credential")?, row::parsed(row, "id")?))
                })
            })
            .await
    }

    /// A Git credential with its secret unsealed, both from one look at the row: a secret must never be paired with
    /// the host of a moment before, and sent there.
    pub async fn git_credential_with_secret(&self, id: GitCredentialId) -> Result<(GitCredential, Secret)> {
        let (company, vault) = (self.company, self.store.vault());
        let sql = "SELECT * FROM git_credentials WHERE id = ?1 AND company = ?2";
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

    /// Notes that a Git credential was used.
    pub async fn git_credential_used(&self, id: GitCredentialId, at: Timestamp) -> Result<()> {
        let (id, company, at) = (id.to_string(), self.id(), row::nanoseconds(at));
        let sql = "UPDATE git_credentials SET last_used_at = max(coalesce(last_used_at, ?3), ?3)
                   WHERE id = ?1 AND company = ?2";
        self.store.write(move |db| db.change_one(sql, params![id, company, at])).await
    }

    /// Seals at once, so that the clear text is not handed on.
    fn seal_git(&self, id: GitCredentialId, secret: &str) -> Result<Sealed> {
        self.store.vault().seal(&place(&id.to_string(), self.company), secret.as_bytes())
    }
}

fn insert(db: &Connection, credential: &GitCredential, secret: &Sealed) -> Result<()> {
    db.change_one(
        "INSERT INTO git_credentials (id, company, name, host, login, secret, last_used_at, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            credential.id.to_string(),
            credential.company.to_string(),
            credential.name,
            credential.host,
            row::to_json(&credential.login)?,
            secret,
            credential.last_used_at.map(row::nanoseconds),
            row::nanoseconds(credential.created_at),
            row::nanoseconds(credential.updated_at),
        ],
    )
}

fn update(db: &Connection, new: &GitCredential, secret: Option<Sealed>) -> Result<()> {
    let stored = find(db, new.id, new.company)?;
    if (&stored.host, &stored.login) != (&new.host, &new.login) && secret.is_none() {
        return Err(StoreError::SecretNeeded);
    }
    db.change_one(
        "UPDATE git_credentials
         SET name = ?3, host = ?4, login = ?5, secret = coalesce(?6, secret), updated_at = ?7
         WHERE id = ?1 AND company = ?2",
        params![
            new.id.to_string(),
            new.company.to_string(),
            new.name,
            new.host,
            row::to_json(&new.login)?,
            secret,
            row::nanoseconds(new.updated_at),
        ],
    )
}

fn delete(db: &Connection, id: GitCredentialId, company: CompanyId, force: bool) -> Result<()> {
    find(db, id, company)?;
    let users = users(db, id, company)?;
    if !users.is_empty() && !force {
        let names = users.into_iter().map(|app| (app.id, app.display_name)).collect();
        return Err(StoreError::CredentialInUse(names));
    }
    let (id, company, now) = (id.to_string(), company.to_string(), row::nanoseconds(Timestamp::now()));
    let sql = "UPDATE apps SET source = json_replace(source, '$.Git.credential', NULL), updated_at = ?3
               WHERE git_credential = ?1 AND company = ?2";
    db.change(sql, params![id, company, now])?;
    db.change_one("DELETE FROM git_credentials WHERE id = ?1 AND company = ?2", [id, company])
}

fn users(db: &Connection, id: GitCredentialId, company: CompanyId) -> Result<Vec<App>> {
    let sql = "SELECT * FROM apps WHERE git_credential = ?1 AND company = ?2 ORDER BY seq";
    db.all(sql, [id.to_string(), company.to_string()], apps::app)
}

fn find(db: &Connection, id: GitCredentialId, company: CompanyId) -> Result<GitCredential> {
    let sql = format!("SELECT {COLUMNS} FROM git_credentials WHERE id = ?1 AND company = ?2");
    db.one(&sql, [id.to_string(), company.to_string()], credential)
}

fn credential(row: &Row<'_>) -> Result<GitCredential> {
    Ok(GitCredential {
        id: row::parsed(row, "id")?,
        company: row::parsed(row, "company")?,
        name: row.get("name")?,
        host: row.get("host")?,
        login: row::json(row, "login")?,
        last_used_at: row::at_if_any(row, "last_used_at")?,
        created_at: row::at(row, "created_at")?,
        updated_at: row::at(row, "updated_at")?,
    })
}

fn place(id: &str, company: CompanyId) -> Place<'_> {
    Place { table: "git_credentials", column: "secret", row: id, company: Some(company) }
}
