//! What a workshop is set up with.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use model::{AppId, DeploymentId};

use crate::made::Bases;
use crate::room::protocol::Programs;

/// Settings of a workshop.
#[derive(Clone, Debug)]
pub struct Config {
    /// For volumes and results; nobody else's.
    pub folder: PathBuf,
    pub role: Role,
    pub programs: Programs,
    pub limits: Limits,
    /// Ids of the host, this and the 65,535 behind it, that are the users of a build. They own nothing else.
    pub first_id: u32,
    /// Where the base images of made Dockerfiles come from.
    pub bases: Bases,
    /// Text of a `resolv.conf` for builds, asked anew for each.
    pub resolv_conf: fn() -> String,
}

/// The program that is started for the room ([`crate::room::run`]), and the words that choose its role.
#[derive(Clone, Debug)]
pub struct Role {
    pub program: PathBuf,
    pub args: Vec<OsString>,
}

/// What a build may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of an application's volume: its layers, cache mounts and what a build works on.
    pub disk: u64,
    /// Bytes of the host's disk that a build leaves free.
    pub reserve: u64,
    pub time: Duration,
    /// Bytes of the log that are passed on; of the rest only the last lines are kept.
    pub log: u64,
    /// Processes at a time, of each user of a build.
    pub processes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            disk: 10 << 30,
            reserve: 1 << 30,
            time: Duration::from_secs(30 * 60),
            log: 8 << 20,
            processes: 4096,
        }
    }
}

impl Config {
    pub(super) fn volumes(&self) -> PathBuf {
        self.folder.join("volumes")
    }

    pub(super) fn builds(&self) -> PathBuf {
        self.folder.join("builds")
    }

    pub(super) fn volume(&self, app: AppId) -> PathBuf {
        self.volumes().join(app.to_string())
    }

    pub(super) fn build(&self, build: DeploymentId) -> PathBuf {
        self.builds().join(build.to_string())
    }
}
