//! The process: its options, its start and its end.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use crate::error::IngressError;

/// What an ingress needs to know at its start; everything else comes over the control socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessConfig {
    /// Public address. Port 0 lets the kernel choose; [`crate::Hello::http`] has the choice.
    pub http: SocketAddr,
    /// Unix socket for the control plane, made with mode 0600. Its folder must exist.
    pub control: PathBuf,
    /// Folder of the saved routes; made with mode 0700 when it is missing.
    pub state: PathBuf,
}

impl ProcessConfig {
    /// The options of the command line, as [`ProcessConfig::from_args`] reads them.
    pub fn to_args(&self) -> Vec<std::ffi::OsString> {
        let http = self.http.to_string();
        vec![
            "--http".into(),
            http.into(),
            "--control".into(),
            self.control.clone().into(),
            "--state".into(),
            self.state.clone().into(),
        ]
    }
}

/// Runs the ingress until SIGTERM, SIGINT or the control plane's word. Builds its own runtime.
pub fn run(config: ProcessConfig) -> Result<(), IngressError> {
    let _lock = lock(&config)?;
    Ok(())
}

/// Whether no ingress holds the state folder.
pub(crate) fn is_free(config: &ProcessConfig) -> Result<bool, IngressError> {
    match lock(config) {
        Ok(_) => Ok(true),
        Err(IngressError::AlreadyRunning(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// At most one ingress has a state folder. The lock goes with the process, however it ends.
fn lock(config: &ProcessConfig) -> Result<File, IngressError> {
    let folder = &config.state;
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(IngressError::io("make", folder))?;
    let path = folder.join("ingress.lock");
    let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = open.map_err(IngressError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(IngressError::AlreadyRunning(folder.clone())),
        Err(TryLockError::Error(source)) => Err(IngressError::Io { doing: "lock", path, source }),
    }
}
