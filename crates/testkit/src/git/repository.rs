//! One repository: a bare one, which servers show, and a working copy, in which a test writes.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

const PROGRAM: &str = "/usr/bin/git";

/// A repository. Every change is pushed at once.
#[derive(Debug)]
pub struct Repository {
    bare: PathBuf,
    work: PathBuf,
}

impl Repository {
    pub(super) fn make(bare: &Path, work: &Path) -> Result<Self> {
        fs::create_dir_all(bare)?;
        fs::create_dir_all(work)?;
        git(bare, &["init", "--quiet", "--bare", "--template=", "--initial-branch=main"], None)?;
        git(work, &["init", "--quiet", "--template=", "--initial-branch=main"], None)?;
        let bare_text = bare.to_str().context("a temporary folder has a plain name")?;
        git(work, &["remote", "add", "origin", bare_text], None)?;
        Ok(Self { bare: bare.to_owned(), work: work.to_owned() })
    }

    /// The bare repository, which is served.
    pub fn bare(&self) -> &Path {
        &self.bare
    }

    /// The working copy.
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// Writes files, commits everything that changed in the working copy to the current branch, and pushes. Gives the
    /// commit's id.
    pub fn commit(&self, files: &[(&str, &str)], message: &str) -> Result<String> {
        for (path, text) in files {
            self.write(path, text.as_bytes())?;
        }
        self.git(&["add", "--all", "."])?;
        self.commit_index(message)
    }

    /// Commits the index as it is, and pushes. For trees that no working copy can have.
    pub fn commit_index(&self, message: &str) -> Result<String> {
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message])?;
        self.git(&["push", "--quiet", "--force", "origin", "HEAD"])?;
        self.head()
    }

    /// Writes a file of the working copy, to be committed.
    pub fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let path = self.inside(path)?;
        Ok(fs::write(path, bytes)?)
    }

    /// Writes a file that may be run.
    pub fn write_program(&self, path: &str, bytes: &[u8]) -> Result<()> {
        self.write(path, bytes)?;
        Ok(fs::set_permissions(self.work.join(path), fs::Permissions::from_mode(0o755))?)
    }

    /// Makes a symbolic link in the working copy, to be committed.
    pub fn link(&self, path: &str, target: &str) -> Result<()> {
        Ok(symlink(target, self.inside(path)?)?)
    }

    /// Makes a branch here, on which the next commits are, and pushes it.
    pub fn branch(&self, name: &str) -> Result<()> {
        self.git(&["switch", "--quiet", "--create", name])?;
        self.git(&["push", "--quiet", "origin", "HEAD"]).map(drop)
    }

    /// Goes to a branch that is there.
    pub fn switch(&self, name: &str) -> Result<()> {
        self.git(&["switch", "--quiet", name]).map(drop)
    }

    /// Makes a tag of the current commit, and pushes it. One with a message is an object of its own.
    pub fn tag(&self, name: &str, message: Option<&str>) -> Result<()> {
        match message {
            Some(message) => self.git(&["tag", "--annotate", "--message", message, name])?,
            None => self.git(&["tag", name])?,
        };
        self.git(&["push", "--quiet", "origin", &format!("refs/tags/{name}")]).map(drop)
    }

    /// Adds a submodule to the index with exactly this address, without asking it for anything.
    pub fn submodule(&self, path: &str, url: &str, commit: &str) -> Result<()> {
        for (key, value) in [("path", path), ("url", url)] {
            self.git(&["config", "--file", ".gitmodules", &format!("submodule.{path}.{key}"), value])?;
        }
        self.git(&["add", ".gitmodules"])?;
        self.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},{path}")]).map(drop)
    }

    /// Makes another branch the default one.
    pub fn set_default_branch(&self, name: &str) -> Result<()> {
        git(&self.bare, &["symbolic-ref", "HEAD", &format!("refs/heads/{name}")], None).map(drop)
    }

    /// The current commit.
    pub fn head(&self) -> Result<String> {
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs git in the working copy and gives what it printed.
    pub fn git(&self, arguments: &[&str]) -> Result<String> {
        git(&self.work, arguments, None)
    }

    /// Runs git in the working copy with an input.
    pub fn git_with(&self, arguments: &[&str], input: &[u8]) -> Result<String> {
        git(&self.work, arguments, Some(input))
    }

    fn inside(&self, path: &str) -> Result<PathBuf> {
        let path = self.work.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        Ok(path)
    }
}

/// Runs git with nothing of the machine's or its user's settings.
fn git(folder: &Path, arguments: &[&str], input: Option<&[u8]>) -> Result<String> {
    let mut child = Command::new(PROGRAM)
        .args(["-c", "protocol.file.allow=always", "-c", "gc.auto=0", "-c", "core.hooksPath=/dev/null"])
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs([
            ("PATH", "/usr/bin:/bin"),
            ("HOME", "/nonexistent"),
            ("LC_ALL", "C"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_AUTHOR_NAME", "Ada Lovelace"),
            ("GIT_AUTHOR_EMAIL", "ada@example.com"),
            ("GIT_COMMITTER_NAME", "Ada Lovelace"),
            ("GIT_COMMITTER_EMAIL", "ada@example.com"),
        ])
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {PROGRAM} (package git)"))?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        stdin.write_all(input)?;
    }
    let output = child.wait_with_output()?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {arguments:?} in {}: {words}", folder.display());
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}
