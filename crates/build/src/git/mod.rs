//! Repositories: which commit, and its files.
//!
//! Debian's `git` does the work, in processes of its own that know nothing of this machine's or its user's settings
//! and end with whoever waits for them. What a repository holds is never run, and what a server says is believed
//! nowhere: addresses are looked up and checked before git hears of them, and a server cannot send git elsewhere.
//!
//! - [`Git`] tells the story: find, fetch, weigh, write the files, and leave nothing else.
//! - `call`: one remote for one call, with its addresses and the folder that holds its secrets for the while.
//! - `command`, `running`, `keeper`: how a program is started and surely ended; `closet`: what it sees meanwhile.
//! - `helper`: the roles of our own binary that git, ssh and their keeper are given.
//! - `verdict`: what git's words mean.

mod address;
mod askpass;
mod call;
mod checkout;
mod clean;
mod closet;
mod command;
mod error;
mod fetch;
mod helper;
mod keeper;
mod keys;
mod lfs;
mod listing;
mod running;
mod secrets;
mod service;
mod ssh;
mod submodules;
mod verdict;
mod weight;

use std::path::PathBuf;
use std::time::Duration;

use model::GitUrl;

use crate::Secret;

pub use error::GitError;
pub use helper::helper;
pub use keys::KeyPair;
pub use listing::{Branches, Found};
pub use service::Git;

/// How a repository is reached.
#[derive(Clone, Debug)]
pub struct Remote {
    pub url: GitUrl,
    pub access: Access,
}

/// The login that was chosen for a repository.
#[derive(Clone, Debug)]
pub enum Access {
    Anonymous,
    /// For https.
    Token {
        username: String,
        token: Secret,
    },
    /// For ssh.
    Key {
        /// OpenSSH's own format.
        private_key: Secret,
        /// `ssh-ed25519 AAAA...`: the server's keys that are accepted, and no other.
        host_keys: Vec<String>,
    },
}

/// What [`Git`] is given once.
#[derive(Clone, Debug)]
pub struct GitConfig {
    /// Folder of its own for secrets and keys while they are used; on a file system in memory. What is in it is
    /// removed at the start.
    pub scratch: PathBuf,
    /// A program whose `main` begins with [`helper`]: our own.
    pub program: PathBuf,
    /// Servers that are asked without https, as `HOST:PORT`; they may have private addresses.
    pub insecure_hosts: Vec<String>,
    /// Servers that may have private addresses, as `HOST[:PORT]`; without a port both that of https and that of ssh.
    pub private_hosts: Vec<String>,
    /// File of certificate authorities, PEM, that stands for the system's own.
    pub authorities: Option<PathBuf>,
    pub limits: Limits,
}

impl GitConfig {
    /// With the usual limits, and servers of the internet alone.
    pub fn new(scratch: PathBuf, program: PathBuf) -> Self {
        Self {
            scratch,
            program,
            insecure_hosts: Vec::new(),
            private_hosts: Vec::new(),
            authorities: None,
            limits: Limits::default(),
        }
    }
}

/// How much one call may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// For a checkout; a question to the server has a minute of it.
    pub time: Duration,
    /// Bytes of a single file, also of what is fetched in one.
    pub file: u64,
    /// Bytes of what is fetched and checked out together.
    pub total: u64,
    /// Files that are checked out.
    pub files: u64,
    /// Bytes of memory of each process.
    pub memory: u64,
    /// Bytes of the disk that stay free.
    pub reserve: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(600),
            file: 1 << 30,
            total: 2 << 30,
            files: 200_000,
            memory: 1 << 30,
            reserve: 512 << 20,
        }
    }
}
