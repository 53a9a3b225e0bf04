//! Files of this machine in an image: real programs for tests, such as those of Debian packages.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Entry, Tar};

impl Tar {
    /// Adds a file of this machine under another name: a binary of the build, for example.
    pub fn host_file(self, path: &Path, name: &str) -> Result<Self> {
        let mode = fs::metadata(path).with_context(|| path.display().to_string())?.mode() & 0o7777;
        Ok(self.file(name, fs::read(path)?, mode))
    }

    /// Adds a file, link or folder of this machine at its own path, a folder with all that is in it. Devices,
    /// sockets and pipes are left out.
    pub fn host_tree(mut self, path: &Path) -> Result<Self> {
        let meta = fs::symlink_metadata(path).with_context(|| path.display().to_string())?;
        let name =
            path.strip_prefix("/").context("a path on this machine is absolute")?.as_os_str().as_bytes();
        let entry = |kind| {
            let entry = Entry::new(kind, name).mode(meta.mode() & 0o7777);
            entry.owner(meta.uid().into(), meta.gid().into())
        };
        if meta.is_symlink() {
            return Ok(self.entry(entry(b'2').link(fs::read_link(path)?.as_os_str().as_bytes())));
        }
        if meta.is_file() {
            return Ok(self.entry(entry(b'0').data(fs::read(path)?)));
        }
        if meta.is_dir() {
            self = self.entry(entry(b'5'));
            let mut names: Vec<_> = fs::read_dir(path)?.collect::<Result<_, _>>()?;
            names.sort_by_key(fs::DirEntry::file_name);
            for below in names {
                self = self.host_tree(&below.path())?;
            }
        }
        Ok(self)
    }

    /// Adds a program of this machine with the libraries and the loader that it needs, each at its own path and
    /// as a plain file.
    pub fn host_program(self, path: &Path) -> Result<Self> {
        self.host_programs(&[path])
    }

    /// The same for several programs; what they share is there once, as some readers of tars want it.
    pub fn host_programs(mut self, paths: &[&Path]) -> Result<Self> {
        let mut needed: BTreeSet<PathBuf> = BTreeSet::new();
        for path in paths {
            needed.insert((*path).to_owned());
            needed.extend(libraries(path)?);
        }
        for path in needed {
            let name = path.to_str().context("a path that is no text")?.trim_start_matches('/').to_owned();
            self = self.host_file(&path, &name)?;
        }
        Ok(self)
    }
}

/// What `ldd` finds. A static program needs nothing.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("/usr/bin/ldd").arg(program).output().context("ldd")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(!text.contains("not found"), "{} lacks a library: {text}", program.display());
    let paths = text.lines().filter_map(|line| {
        let path = line.split_whitespace().find(|word| word.starts_with('/'))?;
        Some(PathBuf::from(path))
    });
    Ok(paths.collect())
}
