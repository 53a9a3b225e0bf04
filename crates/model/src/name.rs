//! Application names: one DNS label, because an application is reached at `NAME.DOMAIN`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Labels that the platform keeps for itself, or that browsers and mail servers give a meaning.
const RESERVED: [&str; 9] =
    ["api", "console", "darsena", "localhost", "www", "admin", "wpad", "isatap", "autoconfig"];

/// A DNS label (RFC 1123): 1 to 63 of `a-z`, `0-9` and `-`, neither first nor last a `-`, and not reserved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppName(String);

/// Why a text is no application name. The words say what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("an application name cannot be empty")]
    Empty,
    #[error("an application name has at most 63 characters; this one has {0}")]
    TooLong(usize),
    #[error("an application name is made of a-z, 0-9 and -; it cannot hold {0:?}")]
    Character(char),
    #[error("an application name cannot begin or end with -")]
    Dash,
    #[error("a name that begins with xn-- would be read as an international domain name; choose another")]
    Punycode,
    #[error("{0:?} is reserved by the platform; choose another name")]
    Reserved(String),
}

impl AppName {
    /// Checks a name that a person chose.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if let Some(bad) = text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
            return Err(NameError::Character(bad));
        }
        if text.len() > 63 {
            return Err(NameError::TooLong(text.len()));
        }
        if text.starts_with('-') || text.ends_with('-') {
            return Err(NameError::Dash);
        }
        if text.starts_with("xn--") {
            return Err(NameError::Punycode);
        }
        if RESERVED.contains(&text) {
            return Err(NameError::Reserved(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name that a display name stands for: lower case, every run of other characters one `-`.
    ///
    /// `"My Shop!"` gives `my-shop`. A display name without a single letter or digit has none.
    pub fn derive(display_name: &str) -> Result<Self, NameError> {
        let mut label = String::new();
        for c in display_name.chars().flat_map(char::to_lowercase) {
            match c {
                'a'..='z' | '0'..='9' => label.push(c),
                _ if label.is_empty() || label.ends_with('-') => {}
                _ => label.push('-'),
            }
        }
        label.truncate(63);
        Self::parse(label.trim_end_matches('-'))
    }

    /// The label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AppName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for AppName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<AppName> for String {
    fn from(name: AppName) -> String {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_dns_label() {
        for good in ["a", "web", "web-1", "1", &"a".repeat(63)] {
            assert_eq!(AppName::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "-x",
            "x-",
            "../x",
            "a;id",
            "Web",
            "a b",
            "a.b",
            "é",
            "xn--a",
            "api",
            "con\0",
            &"a".repeat(64),
        ] {
            assert!(AppName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_display_name_gives_a_name() {
        for (display, name) in
            [("shop", "shop"), ("My Shop!", "my-shop"), ("  a--b ", "a-b"), ("Caffè 2", "caff-2")]
        {
            assert_eq!(AppName::derive(display).unwrap().as_str(), name);
        }
        assert_eq!(AppName::derive("!!!"), Err(NameError::Empty));
    }
}
