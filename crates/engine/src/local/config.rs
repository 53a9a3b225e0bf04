//! What a [`LocalEngine`](super::LocalEngine) is told when it is opened.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where things are, and which programs to use.
#[derive(Clone, Debug)]
pub struct Config {
    /// 8 lower-case hex digits that tell installations on one machine apart.
    pub instance: String,
    /// Folder for what need not outlive a restart of the machine: state, sockets, configurations with secrets.
    pub run: PathBuf,
    /// Folder for what containers write: files and logs.
    pub data: PathBuf,
    /// Folder of the layers; the files of one are in `<layers>/<diff id hex>/fs`.
    pub layers: PathBuf,
    /// The program that [`crate::shim::run`] is in, and the arguments that lead there.
    pub shim: RoleCommand,
    /// The OCI runtime; `None` takes the first `runc` in the system's program folders.
    pub runtime: Option<PathBuf>,
}

/// A role of a program: what to run, before the role's own arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleCommand {
    /// Absolute path.
    pub program: PathBuf,
    pub args: Vec<String>,
}
