//! Sealing: XChaCha20-Poly1305, bound to the very place in the database, so that a sealed value moved to
//! another row, column or company does not open.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use model::CompanyId;
use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use zeroize::Zeroizing;

use crate::key::Key;
use crate::{Result, Secret, StoreError};

/// First byte of every sealed value: how it was sealed.
const VERSION: u8 = 1;
const NONCE_LENGTH: usize = 24;

/// Bytes that only the key opens. Neither printable nor serializable, so that they cannot stray.
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// What looks like a sealed secret of 64 characters and opens with no key.
    pub fn of_nothing() -> Self {
        const TAG_LENGTH: usize = 16;
        let mut bytes = vec![0; 1 + NONCE_LENGTH + 64 + TAG_LENGTH];
        bytes[0] = VERSION;
        Self(bytes)
    }
}

/// Where a sealed value lives.
pub struct Place<'a> {
    pub table: &'static str,
    pub column: &'static str,
    pub row: &'a str,
    /// `None` for what belongs to the installation.
    pub company: Option<CompanyId>,
}

/// Seals and opens with the key of the installation.
pub struct Vault {
    cipher: XChaCha20Poly1305,
}

impl Vault {
    pub fn new(key: &Key) -> Self {
        Self { cipher: XChaCha20Poly1305::new(key.bytes().into()) }
    }

    /// Seals for one place, with a fresh nonce.
    pub fn seal(&self, place: &Place<'_>, clear: &[u8]) -> Result<Sealed> {
        let mut nonce = [0; NONCE_LENGTH];
        getrandom::fill(&mut nonce).map_err(|error| place.refused("sealed", &error))?;
        let payload = Payload { msg: clear, aad: &place.text() };
        let sealed = self.cipher.encrypt(XNonce::from_slice(&nonce), payload);
        let sealed = sealed.map_err(|error| place.refused("sealed", &error))?;
        Ok(Sealed([&[VERSION], nonce.as_slice(), &sealed].concat()))
    }

    /// Opens what was sealed for this place, and nothing else.
    pub fn open(&self, place: &Place<'_>, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>> {
        let (nonce, text) = match sealed.0.split_first() {
            Some((&VERSION, rest)) if rest.len() > NONCE_LENGTH => rest.split_at(NONCE_LENGTH),
            _ => return Err(place.refused("opened", &"it has no known form")),
        };
        let payload = Payload { msg: text, aad: &place.text() };
        let clear = self.cipher.decrypt(XNonce::from_slice(nonce), payload);
        clear.map(Zeroizing::new).map_err(|_| place.refused("opened", &"it was not sealed for this place"))
    }

    /// Opens a text.
    pub fn open_text(&self, place: &Place<'_>, sealed: &Sealed) -> Result<String> {
        let clear = self.open(place, sealed)?;
        Ok(place.text_of(&clear)?.to_owned())
    }

    /// Opens a secret.
    pub fn open_secret(&self, place: &Place<'_>, sealed: &Sealed) -> Result<Secret> {
        let clear = self.open(place, sealed)?;
        Ok(Secret::new(place.text_of(&clear)?))
    }
}

impl Place<'_> {
    /// Every part with its length, so that no two places have the same text.
    fn text(&self) -> Vec<u8> {
        let company = self.company.map(|company| company.to_string()).unwrap_or_default();
        let mut text = Vec::new();
        for part in [self.table, self.column, self.row, &company] {
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            text.extend_from_slice(part.as_bytes());
        }
        text
    }

    fn text_of<'a>(&self, clear: &'a [u8]) -> Result<&'a str> {
        std::str::from_utf8(clear).map_err(|_| self.refused("opened", &"it is no text"))
    }

    fn refused(&self, verb: &str, why: &dyn std::fmt::Display) -> StoreError {
        StoreError::Damaged(format!("{} of {} {} cannot be {verb}: {why}", self.column, self.table, self.row))
    }
}

impl ToSql for Sealed {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(&self.0)))
    }
}

impl FromSql for Sealed {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Vec::<u8>::column_result(value).map(Self)
    }
}
