//! What the tests share.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use build::Secret;
use build::git::{Access, Git, GitConfig, GitError, Limits, Remote};
use model::{BuildSettings, Commit, GitUrl, Revision};
use tempfile::TempDir;
use testkit::git::{GitServer, SshServer};

/// Git with folders of its own, for some servers.
pub struct Bench {
    folder: TempDir,
    pub git: Git,
}

/// Whether the processes that git needs can be made here. Says so when not.
#[expect(clippy::print_stdout, reason = "the test harness shows it")]
pub fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        println!("not run: needs root");
    }
    is_root
}

impl Bench {
    /// For servers without https.
    pub fn plain(servers: &[&GitServer]) -> Self {
        let hosts = servers.iter().map(|server| server.host()).collect();
        Self::new(|config| config.insecure_hosts = hosts)
    }

    /// For a server with https.
    pub fn secure(server: &GitServer, authority: &Path) -> Self {
        Self::new(|config| {
            config.private_hosts = vec![server.host()];
            config.authorities = Some(authority.to_owned());
        })
    }

    /// For an ssh server.
    pub fn ssh(server: &SshServer) -> Self {
        Self::new(|config| config.private_hosts = vec![server.host()])
    }

    pub fn new(change: impl FnOnce(&mut GitConfig)) -> Self {
        // As `main` does; there may be one already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = TempDir::new().unwrap();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_git-helper"));
        let mut config = GitConfig::new(folder.path().join("scratch"), program);
        // The tests' machines have little.
        config.limits.reserve = 64 << 20;
        change(&mut config);
        fs::create_dir(folder.path().join("into")).unwrap();
        Self { git: Git::open(config).unwrap(), folder }
    }

    pub fn limited(servers: &[&GitServer], change: impl FnOnce(&mut Limits)) -> Self {
        let hosts = servers.iter().map(|server| server.host()).collect();
        Self::new(|config| {
            config.insecure_hosts = hosts;
            change(&mut config.limits);
        })
    }

    /// Where [`Bench::checkout`] writes.
    pub fn files(&self) -> PathBuf {
        self.folder.path().join("into")
    }

    /// Checks a revision out, once.
    pub async fn checkout(&self, remote: &Remote, revision: &str) -> Result<Commit, GitError> {
        let revision = match revision {
            "" => Revision::Default,
            text => Revision::parse(text).unwrap(),
        };
        self.checkout_with(remote, &revision, &BuildSettings::default()).await
    }

    pub async fn checkout_with(
        &self,
        remote: &Remote,
        revision: &Revision,
        settings: &BuildSettings,
    ) -> Result<Commit, GitError> {
        let done = self.git.checkout(remote, revision, settings, &self.files()).await;
        self.no_secret_is_left();
        if done.is_err() {
            assert_eq!(names(&self.files()), [""; 0], "a failed checkout leaves nothing");
        }
        done
    }

    /// A file of the checkout.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.files().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub fn no_secret_is_left(&self) {
        assert_eq!(names(&self.folder.path().join("scratch")), [""; 0]);
    }

    /// Text that the command lines of this call's processes hold, and no others.
    pub fn mark(&self) -> String {
        self.folder.path().display().to_string()
    }
}

/// Names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

pub fn open(url: &str) -> Remote {
    Remote { url: GitUrl::parse(url).unwrap(), access: Access::Anonymous }
}

pub fn token(url: &str, username: &str, token: &str) -> Remote {
    let access = Access::Token { username: username.to_owned(), token: Secret::new(token) };
    Remote { url: GitUrl::parse(url).unwrap(), access }
}

/// Processes whose environment or command line holds a text: what stands in them.
pub fn processes_with(text: &str) -> Vec<String> {
    folders_of_processes_with(text).into_iter().map(|(_, all)| all).collect()
}

/// What the processes of a program could do beyond what their account may, as `/proc` writes it: as they are, and as the
/// programs that they start would be.
pub fn capabilities_of(program: &str, text: &str) -> Vec<String> {
    let found = folders_of_processes_with(text).into_iter().filter(|(_, all)| all.contains(program));
    let found = found.flat_map(|(folder, _)| {
        let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
        let sets = status
            .lines()
            .filter(|line| ["CapPrm", "CapEff", "CapBnd"].iter().any(|set| line.starts_with(set)));
        sets.filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned).collect::<Vec<_>>()
    });
    let found: Vec<String> = found.collect();
    assert!(!found.is_empty(), "{program} does not run");
    found
}

/// What is `/` for the processes of a program whose command line or environment holds a text.
pub fn roots_of(program: &str, text: &str) -> Vec<PathBuf> {
    let found = folders_of_processes_with(text).into_iter().filter(|(_, all)| all.contains(program));
    found.map(|(folder, _)| folder.join("root")).collect()
}

fn folders_of_processes_with(text: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let path = entry.path();
        let read = |name: &str| fs::read(path.join(name)).unwrap_or_default();
        let all = [read("cmdline"), read("environ")].concat();
        let all = String::from_utf8_lossy(&all).replace('\0', " ");
        if entry.file_name().to_string_lossy() != std::process::id().to_string() && all.contains(text) {
            found.push((path, all));
        }
    }
    found
}

/// Waits until something is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} has not come about in a minute");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
