//! People.

use model::access::User;
use rusqlite::{Connection, Row, params};

use crate::query::Query;
use crate::{InstanceStore, Result, StoreError, row};

impl InstanceStore {
    /// The user with an e-mail address, and the PHC string of the password. Addresses are unique on the
    /// installation: signing in tells the company, not the other way round.
    pub async fn user_by_email(&self, email: &str) -> Result<Option<(User, String)>> {
        let email = normal_email(email);
        let sql = "SELECT * FROM users WHERE email = ?1";
        self.store
            .read(move |db| db.maybe(sql, [email], |row| Ok((user(row)?, row.get("password_hash")?))))
            .await
    }
}

/// One person, one spelling.
pub fn normal_email(email: &str) -> String {
    email.trim().to_lowercase()
}

pub fn insert(db: &Connection, user: &User, password_hash: &str) -> Result<()> {
    db.change_one(
        "INSERT INTO users (id, company, email, role, password_hash, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            user.id.to_string(),
            user.company.to_string(),
            user.email,
            user.role.as_str(),
            password_hash,
            row::nanoseconds(user.created_at)
        ],
    )
    .map_err(|error| error.when_taken(StoreError::NameTaken))
}

fn user(row: &Row<'_>) -> Result<User> {
    Ok(User {
        id: row::parsed(row, "id")?,
        company: row::parsed(row, "company")?,
        email: row.get("email")?,
        role: row::word(row.get("role")?, "role")?,
        created_at: row::at(row, "created_at")?,
    })
}
