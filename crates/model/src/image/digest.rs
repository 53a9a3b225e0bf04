//! Digests: the name of some bytes is their sha256.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A sha256 digest, written `sha256:<64 hex digits>` (OCI image-spec, descriptor.md, "Digests").
///
/// It names bytes as they travel: a manifest, a config or a compressed layer. The uncompressed content of a
/// layer has a [`DiffId`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// Why a text is no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    #[error("a digest has the form sha256:<64 hex digits>")]
    Form,
    #[error("digests of kind {0:?} are not supported; use sha256")]
    Algorithm(String),
    #[error("a sha256 digest has 64 hex digits; this one has {0} characters")]
    Length(usize),
    #[error("a digest is written with 0-9 and a-f; it cannot hold {0:?}")]
    Character(char),
}

impl Digest {
    /// Parses `sha256:<64 lower-case hex digits>`; every other algorithm is refused by name.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let (algorithm, hex) = text.split_once(':').ok_or(DigestError::Form)?;
        if algorithm != "sha256" {
            return Err(DigestError::Algorithm(algorithm.chars().take(32).collect()));
        }
        if let Some(bad) = hex.chars().find(|c| !matches!(c, '0'..='9' | 'a'..='f')) {
            return Err(DigestError::Character(bad));
        }
        if hex.len() != 64 {
            return Err(DigestError::Length(hex.len()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The digest with these 32 bytes.
    pub fn from_sha256(bytes: [u8; 32]) -> Self {
        let mut text = String::with_capacity(71);
        text.push_str("sha256:");
        for byte in bytes {
            text.push(char::from_digit(u32::from(byte >> 4), 16).expect("a nibble is a hex digit"));
            text.push(char::from_digit(u32::from(byte & 15), 16).expect("a nibble is a hex digit"));
        }
        Self(text)
    }

    /// `sha256:<hex>`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 64 hex digits, safe as a file name.
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }

    /// `sha256:` and the first 12 digits, for people.
    pub fn short(&self) -> &str {
        &self.0[.."sha256:".len() + 12]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        Self::parse(&text)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.0
    }
}

/// The digest of a layer's uncompressed tar (OCI image-spec, config.md, "Layer DiffID"). Layers on disk are
/// named by it. Another type than [`Digest`], because mixing them up is the classic mistake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DiffId(Digest);

impl DiffId {
    /// Marks a digest as one of uncompressed content.
    pub fn new(digest: Digest) -> Self {
        Self(digest)
    }

    /// `sha256:<hex>`.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The 64 hex digits, safe as a file name.
    pub fn hex(&self) -> &str {
        self.0.hex()
    }
}

impl fmt::Display for DiffId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_lower_case_sha256_is_a_digest() {
        let hex = "0123456789abcdef".repeat(4);
        let good = format!("sha256:{hex}");
        assert_eq!(Digest::parse(&good).unwrap().hex(), hex);
        assert_eq!(Digest::from_sha256([0xab; 32]).hex(), "ab".repeat(32));

        assert_eq!(Digest::parse(&hex), Err(DigestError::Form));
        assert_eq!(Digest::parse(&good[..70]), Err(DigestError::Length(63)));
        assert_eq!(Digest::parse(&format!("{good}0")), Err(DigestError::Length(65)));
        assert_eq!(Digest::parse(&good.replace('f', "F")), Err(DigestError::Character('F')));
        for algorithm in ["md5", "sha1", "sha512"] {
            assert_eq!(
                Digest::parse(&format!("{algorithm}:{hex}")),
                Err(DigestError::Algorithm(algorithm.into()))
            );
        }
    }
}
