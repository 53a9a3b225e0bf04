//! On whose behalf a registry is asked, and the header that proves it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderValue;
use model::CompanyId;
use sha2::{Digest as _, Sha256};

use super::redact::Redactor;
use crate::{Cause, Login};

/// A company, with the login that it chose. Nothing that is kept for one caller serves another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    pub login: Option<&'a Login>,
    pub owner: CompanyId,
}

impl Caller<'_> {
    /// The login's user name, fit for a message.
    pub fn username(&self) -> Option<String> {
        self.login.map(|login| super::clean(&login.username))
    }

    /// Takes what was sent for this caller out of texts that come back.
    pub fn redactor(&self) -> Redactor {
        let secrets = self.login.map(|login| vec![login.secret().to_owned(), pair(login)]);
        Redactor::new(secrets.unwrap_or_default())
    }

    /// A failure whose words hold what was sent is told without them. Texts from a registry are cleaned where
    /// they are read; this is for what nobody thought of.
    pub fn withheld(&self, cause: Cause) -> Cause {
        match self.redactor().finds(&format!("{cause} {cause:?}")) {
            true => Cause::Withheld(cause.code()),
            false => cause,
        }
    }

    /// Tells logins apart without holding them.
    pub fn login_hash(&self) -> Option<[u8; 32]> {
        self.login.map(|login| Sha256::digest(format!("{}\0{}", login.username, login.secret())).into())
    }
}

/// An `Authorization` header. Never printed.
#[derive(Clone)]
pub(super) struct Authorization {
    value: HeaderValue,
    /// Made from a login. A token that everybody gets is none.
    pub is_secret: bool,
}

impl Authorization {
    /// `Basic`, with a login. `None` when the user name cannot stand in one: a colon ends it (RFC 7617).
    pub fn basic(login: &Login) -> Option<Self> {
        if login.username.contains(':') {
            return None;
        }
        Self::new(&format!("Basic {}", pair(login)), true)
    }

    /// `Bearer`, with a token. `None` when it cannot stand in a header.
    pub fn bearer(token: &str, is_secret: bool) -> Option<Self> {
        Self::new(&format!("Bearer {token}"), is_secret)
    }

    fn new(text: &str, is_secret: bool) -> Option<Self> {
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(Self { value, is_secret })
    }

    /// Whether it is a token.
    pub fn is_bearer(&self) -> bool {
        self.value.as_bytes().starts_with(b"Bearer ")
    }

    /// The header's value, marked so that no library prints it.
    pub fn value(&self) -> HeaderValue {
        self.value.clone()
    }

    /// What stands behind the scheme.
    pub fn secret(&self) -> Option<String> {
        let text = self.value.to_str().ok()?;
        text.split_once(' ').map(|(_, secret)| secret.to_owned())
    }
}

impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorization").field("is_secret", &self.is_secret).finish_non_exhaustive()
    }
}

/// User name and secret as `Basic` writes them (RFC 7617).
fn pair(login: &Login) -> String {
    STANDARD.encode(format!("{}:{}", login.username, login.secret()))
}
