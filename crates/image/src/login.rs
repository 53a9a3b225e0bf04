//! A user name and password for a registry.

use std::fmt;

use zeroize::Zeroizing;

/// What a person gave to log in to one registry. The secret is never printed, and wiped from memory at the end.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub username: String,
    secret: Zeroizing<String>,
}

impl Login {
    /// A login with a password or access token.
    pub fn new(username: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { username: username.into(), secret: Zeroizing::new(secret.into()) }
    }

    /// The password or token, for the one header it is made for.
    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

/// What a registry says of a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accepted,
    /// The user name or the password or token is wrong, expired or revoked.
    Rejected {
        /// What failed and the registry's own words, cleaned, as in a message: no capital, no full stop.
        words: String,
    },
    /// The login is right, but it may not pull.
    ScopeMissing {
        /// What failed and the registry's own words, cleaned, as in a message: no capital, no full stop.
        words: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_not_printed() {
        let text = format!("{:?}", Login::new("ada", "hunter2"));
        assert!(text.contains("ada") && !text.contains("hunter2"), "{text}");
    }
}
