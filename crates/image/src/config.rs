//! What the image store needs to know from outside.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of an [`crate::ImageStore`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder of everything that is kept: `blobs/`, `layers/`, `proofs/`, `local/`, `tmp/`. Made when missing, mode 0700.
    pub root: PathBuf,
    /// Registries (`host:port`, exactly as references write them) that the administrator allows over plain
    /// http and at private addresses. A credential is sent to one only when it is on this machine.
    pub insecure_registries: Vec<String>,
    /// Registries, and token servers of theirs (`host` or `host:port`), that the administrator allows at private
    /// addresses, over https. Every registry that is in neither list is asked over https, at public addresses.
    pub private_registries: Vec<String>,
    /// How to start the unpack role ([`crate::unpack::run`]).
    pub unpack: RoleCommand,
    /// Layers fetched at once for one image.
    pub parallel_layers: usize,
    pub limits: Limits,
    pub timeouts: Timeouts,
}

impl Config {
    /// The usual settings for a folder.
    pub fn new(root: PathBuf, unpack: RoleCommand) -> Self {
        Self {
            root,
            insecure_registries: Vec::new(),
            private_registries: Vec::new(),
            unpack,
            parallel_layers: 3,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
        }
    }
}

/// A program with its first arguments; the store adds its own behind them.
#[derive(Clone, Debug)]
pub struct RoleCommand {
    /// Absolute path.
    pub program: PathBuf,
    pub args: Vec<OsString>,
}

/// How much an image may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the tars of all layers once decompressed; one alone may take it all.
    pub unpacked_bytes: u64,
    /// Entries of a layer's tar.
    pub entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { unpacked_bytes: 20 << 30, entries: 1_000_000 }
    }
}

/// How long a registry may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    pub connect: Duration,
    /// From the request to the head of the answer.
    pub header: Duration,
    /// Between two pieces of a body.
    pub idle: Duration,
    /// Longest wait that a `Retry-After` can ask for; beyond it the pull ends as rate limited.
    pub retry_after: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            header: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            retry_after: Duration::from_secs(60),
        }
    }
}
