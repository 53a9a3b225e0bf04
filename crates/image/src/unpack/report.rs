//! What the unpack process tells the process that started it: one JSON document on standard output.

use serde::{Deserialize, Serialize};

/// How unpacking ended.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    Unpacked(Unpacked),
    Refused(Refusal),
}

/// A layer whose files are written.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Unpacked {
    /// `sha256:<hex>` of the uncompressed tar.
    pub diff_id: String,
    /// Length of the uncompressed tar.
    pub bytes: u64,
    pub entries: u64,
    /// Directories made on the way to an entry, for which the tar has no entry of their own.
    pub implied_dirs: Vec<PathBytes>,
    /// Directories that hide what the layers below hold in them. The process that reads this marks them,
    /// because `trusted.*` attributes need a capability that unpacking does not have.
    pub opaque_dirs: Vec<PathBytes>,
}

/// Bytes of the names in one report. Whoever reads it keeps them and goes through them for every container.
const MAX_NAMES: usize = 2 << 20;

impl Unpacked {
    /// Refuses a report whose names are beyond the limit, each counted with a byte that ends it.
    pub fn checked(self) -> Result<Self, Refusal> {
        let names = self.implied_dirs.iter().chain(&self.opaque_dirs);
        match names.map(|name| name.len() + 1).sum::<usize>() > MAX_NAMES {
            false => Ok(self),
            true => Err(Refusal::invalid(
                "too many directories that have no entry of their own or hide what is below, the limit is 2 MiB of \
                 their names",
            )),
        }
    }
}

/// Why a layer was not unpacked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub kind: RefusalKind,
    /// A sentence part without control characters, the path in it when there is one.
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RefusalKind {
    /// The layer is broken, escapes, or goes beyond a limit.
    Invalid,
    DiskFull,
    /// This machine does not let the process work.
    Internal,
}

/// A path inside the layer, relative, byte-exact. JSON has no bytes, so they are written in hex when they are
/// not UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum PathBytes {
    Text(String),
    Hex { hex: String },
}

impl PathBytes {
    pub fn new(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => PathBytes::Text(text),
            Err(error) => PathBytes::Hex { hex: hex::encode(error.into_bytes()) },
        }
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        match self {
            PathBytes::Text(text) => text.len(),
            PathBytes::Hex { hex } => hex.len() / 2,
        }
    }

    /// The bytes; empty when a report holds no hex where it should.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            PathBytes::Text(text) => text.clone().into_bytes(),
            PathBytes::Hex { hex } => hex::decode(hex).unwrap_or_default(),
        }
    }
}

impl Refusal {
    /// The layer is at fault, as a whole.
    pub fn invalid(reason: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Invalid, reason: reason.into() }
    }

    /// The layer is at fault, at one entry.
    pub fn entry(path: &[u8], reason: impl std::fmt::Display) -> Self {
        Self::invalid(format!("{}: {reason}", printable(path)))
    }

    /// A system call failed. A full disk is no fault of the layer.
    pub fn io(doing: &str, path: &[u8], error: rustix::io::Errno) -> Self {
        use rustix::io::Errno;
        let kind = match error {
            Errno::NOSPC | Errno::DQUOT => RefusalKind::DiskFull,
            Errno::NOTDIR
            | Errno::ISDIR
            | Errno::LOOP
            | Errno::NAMETOOLONG
            | Errno::MLINK
            | Errno::XDEV
            | Errno::INVAL
            | Errno::NOENT
            | Errno::EXIST => RefusalKind::Invalid,
            _ => RefusalKind::Internal,
        };
        let text = std::io::Error::from(error).to_string();
        let words = text.split(" (os error").next().unwrap_or_default().to_lowercase();
        Self { kind, reason: format!("{}: cannot {doing}: {words}", printable(path)) }
    }
}

/// Text of bytes from a layer for a message: escaped and cut.
pub(crate) fn printable(bytes: &[u8]) -> String {
    const LONGEST: usize = 200;
    let mut text: String = String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST)])
        .chars()
        .flat_map(|c| match c {
            c if c.is_control() || ('\u{200b}'..='\u{206f}').contains(&c) => {
                c.escape_unicode().collect::<Vec<_>>()
            }
            c => vec![c],
        })
        .collect();
    if bytes.len() > LONGEST {
        text.push('…');
    }
    text
}
