//! Git repositories and real servers for them: `git http-backend` behind a small HTTP(S) server, and Debian's `sshd`.
//!
//! ```no_run
//! # fn example() -> anyhow::Result<()> {
//! use testkit::git::{GitServer, Repositories, SshServer};
//! use testkit::tls::TestCa;
//!
//! let repositories = Repositories::new()?;
//! let shop = repositories.make("acme/shop")?;
//! let first = shop.commit(&[("Dockerfile", "FROM scratch\n"), ("www/index.html", "hello")], "first")?;
//! shop.branch("next")?; // from here on commits go to it
//! shop.commit(&[("www/index.html", "soon")], "second")?;
//!
//! let open = GitServer::start(&repositories)?;
//! // darsena serve --insecure-git {open.host()}
//! // darsena deploy shop --git {open.url("acme/shop")} --commit {first}
//!
//! let ca = TestCa::new()?;
//! let private = GitServer::with_tls(&repositories, &ca)?;
//! private.protect("acme/shop", "bot", "the-token");
//! // darsena serve --private-git {private.host()}, with SSL_CERT_FILE = {ca.path()} in its environment
//!
//! let ssh = SshServer::start(&repositories)?;
//! ssh.allow("ssh-ed25519 AAAA... of the deploy key")?;
//! // darsena serve --private-git {ssh.host()}; the repository is {ssh.url("acme/shop")}
//! # Ok(()) }
//! ```

mod backend;
mod lfs;
mod repository;
mod server;
mod ssh;
mod zeros;

use std::path::{Path, PathBuf};

use anyhow::Result;
use tempfile::TempDir;

pub use crate::seen::Seen;
pub use repository::Repository;
pub use server::GitServer;
pub use ssh::SshServer;

/// Repositories in a temporary folder. Dropped, they are gone.
#[derive(Debug)]
pub struct Repositories {
    folder: TempDir,
}

impl Repositories {
    pub fn new() -> Result<Self> {
        let folder = TempDir::new()?;
        std::fs::create_dir(folder.path().join("bare"))?;
        Ok(Self { folder })
    }

    /// Makes an empty repository, `acme/shop`, whose default branch is `main`.
    pub fn make(&self, name: &str) -> Result<Repository> {
        Repository::make(&self.bare(name), &self.folder.path().join("work").join(name))
    }

    /// Where its bare repository is.
    pub fn bare(&self, name: &str) -> PathBuf {
        self.root().join(format!("{name}.git"))
    }

    /// Folder of the bare repositories.
    fn root(&self) -> PathBuf {
        self.folder.path().join("bare")
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}
