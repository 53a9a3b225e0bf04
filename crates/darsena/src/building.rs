//! The parts that build: Git, and the workshop of this machine.

use anyhow::{Context, Result};
use build::made::Bases;

use crate::paths::Paths;
use crate::serve::own_program;

/// The word of the workshop's role.
pub const ROOM: &str = "build-room";

/// The host's ids that are the users of builds: above those that useradd(8) and systemd give away
/// (systemd.io, "Users, Groups, UIDs and GIDs on systemd Systems").
const FIRST_ID: u32 = 0x7000_0000;

/// Git servers that the administrator named.
#[derive(Clone, Debug, Default)]
pub struct NamedGit {
    /// Asked without https; they may have private addresses.
    pub insecure: Vec<String>,
    /// With https or ssh at a private address.
    pub private: Vec<String>,
}

/// The way to repositories.
pub fn open_git(paths: &Paths, named: NamedGit) -> Result<build::git::Git> {
    let mut config = build::git::GitConfig::new(paths.git_scratch(), own_program()?);
    config.insecure_hosts = named.insecure;
    config.private_hosts = named.private;
    // Whom registries trust is who Git servers are trusted by.
    config.authorities = std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty()).map(Into::into);
    build::git::Git::open(config).context("the folder of Git cannot be opened")
}

/// The builder of a data folder.
pub fn open_workshop(paths: &Paths, bases: Bases) -> Result<build::Workshop> {
    let config = build::Config {
        folder: paths.builds(),
        role: build::Role { program: own_program()?, args: vec![ROOM.into()] },
        programs: build::Programs::default(),
        limits: build::Limits::default(),
        first_id: FIRST_ID,
        resolv_conf: engine::resolv_conf,
        bases,
    };
    build::Workshop::open(config).context("the folder of builds cannot be opened")
}
