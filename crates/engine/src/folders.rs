//! Where the parts of a container are on this machine.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// State of one container: everything in it is lost when the machine restarts, and may be.
#[derive(Clone, Debug)]
pub(crate) struct RunFolder(PathBuf);

impl RunFolder {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What to run, secrets included.
    pub fn spec(&self) -> PathBuf {
        self.0.join("spec.json")
    }

    /// What the supervisor needs besides; no secrets.
    pub fn orders(&self) -> PathBuf {
        self.0.join("orders.json")
    }

    /// The address; it is taken as long as this file exists.
    pub fn network(&self) -> PathBuf {
        self.0.join("network.json")
    }

    /// Exists once the container, its network included, can be started.
    pub fn whole(&self) -> PathBuf {
        self.0.join("whole")
    }

    /// Locked by the supervisor for its whole life.
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// How the container ended.
    pub fn exit(&self) -> PathBuf {
        self.0.join("exit.json")
    }

    /// The runtime's configuration, secrets included. Its name is the runtime's (OCI runtime-spec, bundle.md).
    pub fn bundle(&self) -> PathBuf {
        self.0.join("config.json")
    }

    pub fn runtime_log(&self) -> PathBuf {
        self.0.join("runtime.log")
    }

    /// What the runtime writes about the latest command that was run beside the container's own. Each has it anew: a
    /// runtime that was killed leaves half-written files, at which the next one would fail.
    pub fn exec(&self) -> PathBuf {
        self.0.join("exec")
    }

    pub fn exec_log(&self) -> PathBuf {
        self.exec().join("log")
    }

    /// The process of that command.
    pub fn exec_pid(&self) -> PathBuf {
        self.exec().join("pid")
    }

    pub fn pid(&self) -> PathBuf {
        self.0.join("pid")
    }

    /// Where the supervisor mounts the root filesystem, in its own mount namespace only.
    pub fn rootfs(&self) -> PathBuf {
        self.0.join("rootfs")
    }

    /// Short names of the layers, see [`crate::shim::prepare`].
    pub fn overlay(&self) -> PathBuf {
        self.0.join("overlay")
    }

    /// Files that are mounted into the container.
    pub fn etc(&self) -> PathBuf {
        self.0.join("etc")
    }
}

/// The name of the supervisor's socket in a [`RunFolder`].
pub(crate) const SOCKET: &str = "shim.sock";

/// What a container writes: it outlives a restart of the machine until it is removed.
#[derive(Clone, Debug)]
pub(crate) struct DataFolder(PathBuf);

impl DataFolder {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn upper(&self) -> PathBuf {
        self.0.join("upper")
    }

    pub fn work(&self) -> PathBuf {
        self.0.join("work")
    }

    pub fn logs(&self) -> PathBuf {
        self.0.join("log")
    }
}

/// Makes a folder that only root can enter; one that exists is fine.
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file that only root can read; a reader sees the old content or the whole new one.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(content)?;
    fs::rename(&draft, path)
}

/// Reads a JSON file; `None` when there is none.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
