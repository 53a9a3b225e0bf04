//! The text of an API key: made once, kept as a hash.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Lets secret scanners recognise a key.
const PREFIX: &str = "dars_";
const HEX_DIGITS: usize = 64;

/// A fresh key. It is shown once and never logged, so it has neither `Debug` nor `Display`.
pub struct Token(String);

/// The sha256 of a key: all that is stored. A key has 256 random bits, so a slow hash would add nothing.
pub type TokenHash = [u8; 32];

impl Token {
    /// Draws 256 bits from the operating system.
    pub fn generate() -> Self {
        let mut secret = [0u8; HEX_DIGITS / 2];
        getrandom::fill(&mut secret).expect("the operating system gives random bytes");
        Self(format!("{PREFIX}{}", hex::encode(secret)))
    }

    /// Hands the text out, for the one answer that shows it.
    pub fn reveal(self) -> String {
        self.0
    }

    /// What is stored.
    pub fn hash(&self) -> TokenHash {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// Its first six characters and its last four.
    pub fn masked(&self) -> String {
        format!("{}...{}", &self.0[..6], &self.0[self.0.len() - 4..])
    }
}

/// A fresh secret of 256 bits, of lower-case hex digits, for an address or a signature.
pub fn fresh_secret() -> wire::Secret {
    let mut secret = [0u8; HEX_DIGITS / 2];
    getrandom::fill(&mut secret).expect("the operating system gives random bytes");
    wire::Secret::from(hex::encode(secret))
}

/// The hash of a presented key; `None` when the text has not the form of one.
pub fn hash_presented(text: &str) -> Option<TokenHash> {
    let digits = text.strip_prefix(PREFIX)?;
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if digits.len() != HEX_DIGITS || !digits.bytes().all(is_hex) {
        return None;
    }
    Some(Sha256::digest(text.as_bytes()).into())
}

/// What a secret is held against where there is none to hold it against: as long as those of [`fresh_secret`], and
/// none of them.
pub const NO_SECRET: &str = "................................................................";

/// Compares two secrets in a time that does not depend on where they differ, nor on the length of what is presented
/// beyond that of reading it.
pub fn same_secret(presented: &str, expected: &str) -> bool {
    same(&Sha256::digest(presented), &Sha256::digest(expected)) && expected != NO_SECRET
}

/// Compares two secrets in a time that does not depend on where they differ.
pub fn same(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_recognised_by_its_hash() {
        let token = Token::generate();
        let (hash, masked) = (token.hash(), token.masked());
        let text = token.reveal();
        assert_eq!(text.len(), 69);
        assert_eq!(hash_presented(&text), Some(hash));
        assert_eq!(masked, format!("{}...{}", &text[..6], &text[65..]));
        assert!(!same(&hash, &Token::generate().hash()));
    }

    #[test]
    fn other_texts_are_no_keys() {
        let text = Token::generate().reveal();
        for bad in ["", "dars_", &text[1..], &text[..68], &format!("{text}0"), &text.to_uppercase(), "svl_00"]
        {
            assert_eq!(hash_presented(bad), None, "{bad}");
        }
    }
}
