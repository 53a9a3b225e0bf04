//! What an image says about the process to start, and what its root filesystem is made of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::DiffId;

/// The part of the image configuration that a container needs (OCI image-spec, config.md). Checked when it
/// is read: sizes are bounded, names of variables are valid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// `(name, value)` in the image's order. Often holds secrets by mistake: values are not shown.
    pub env: Vec<(String, String)>,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    /// `""`, `user`, `uid`, `user:group`, `uid:gid`.
    pub user: String,
    /// Absolute path; `/` when the image has none.
    pub working_dir: String,
    /// As declared, in ascending order of port.
    pub exposed_ports: Vec<ExposedPort>,
    /// Signal number for stopping; `None` means SIGTERM.
    pub stop_signal: Option<i32>,
    pub labels: BTreeMap<String, String>,
    /// As written in the image, when it is a date.
    pub created: Option<String>,
}

/// A port from EXPOSE.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExposedPort {
    pub port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// A root filesystem: layers that are in place on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Bottom layer first.
    pub layers: Vec<DiffId>,
    /// Directories to set right once the layers lie over each other.
    pub dir_fixes: Vec<DirFix>,
}

/// A directory that a layer's tar implies but does not hold (`tmp/x` without `tmp/`): it must keep the mode
/// and owner that the layers below give it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirFix {
    /// Relative to the root of the filesystem, no `..`, bytes as UTF-8.
    pub path: String,
    /// Permission bits, 0 to 0o7777.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}
