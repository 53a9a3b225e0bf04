//! The volume of an application, from outside: made, thrown away, and which base images are in it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::disk;
use super::output::says_full;

/// What an empty filesystem takes on the host's disk at most, in bytes.
const SIZE_WHEN_EMPTY: u64 = 64 << 20;

/// The folder of an application's volume. Whoever has one has the application's turn.
pub(super) struct Volume {
    folder: PathBuf,
}

impl Volume {
    pub fn of(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub fn file(&self) -> PathBuf {
        self.folder.join("volume")
    }

    pub fn lock(&self) -> PathBuf {
        self.folder.join("lock")
    }

    /// Makes it, unless it is there in this size.
    pub async fn make(&self, bytes: u64, mkfs: &Path) -> io::Result<()> {
        disk::make_private(&self.folder)?;
        if fs::metadata(self.file()).is_ok_and(|meta| meta.len() == bytes) {
            return Ok(());
        }
        self.discard()?;
        let new = self.folder.join("volume.new");
        let _ = fs::remove_file(&new);
        let file = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
        file.set_len(bytes)?;
        let output = Command::new(mkfs)
            // Nothing is kept back for root, who has no use for it in there.
            .args(["-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1"])
            .arg(&new)
            .env_clear()
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            let free = disk::free(&self.folder);
            let _ = fs::remove_file(&new);
            return Err(why_not_made(format!("{} failed: {said}", mkfs.display()), free.ok()));
        }
        fs::rename(&new, self.file())
    }

    /// Throws it away with all that was kept for the next build.
    pub fn discard(&self) -> io::Result<()> {
        for name in ["bases.json", "volume"] {
            match fs::remove_file(self.folder.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// The base images that are in it, by the digits of their manifests. Not to know is to have none.
    pub fn bases(&self) -> BTreeSet<String> {
        let text = fs::read(self.folder.join("bases.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Notes a base image that is in it now.
    pub fn add(&self, base: &str) -> io::Result<()> {
        let mut bases = self.bases();
        bases.insert(base.to_owned());
        let new = self.folder.join("bases.new");
        fs::write(&new, serde_json::to_vec(&bases)?)?;
        fs::rename(&new, self.folder.join("bases.json"))
    }
}

/// What kept the filesystem from being made: a full disk is no fault of the program, whose words do not always say so.
fn why_not_made(words: String, free: Option<u64>) -> io::Error {
    match says_full(&words) || free.is_some_and(|free| free < SIZE_WHEN_EMPTY) {
        true => io::Error::new(io::ErrorKind::StorageFull, words),
        false => io::Error::other(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_a_program_that_fails() {
        let kind = |words: &str, free| why_not_made(words.to_owned(), free).kind();
        assert_eq!(kind("mkfs failed: cannot write", Some(SIZE_WHEN_EMPTY)), io::ErrorKind::Other);
        assert_eq!(kind("mkfs failed: cannot write", None), io::ErrorKind::Other);
        assert_eq!(kind("mkfs failed: cannot write", Some(1 << 20)), io::ErrorKind::StorageFull);
        assert_eq!(kind("mkfs failed: No space left on device", None), io::ErrorKind::StorageFull);
    }

    #[tokio::test]
    async fn a_program_that_fails_is_named_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let volume = Volume::of(folder.path().join("volume-of-an-app"));
        let error = volume.make(1 << 20, Path::new("/bin/false")).await.unwrap_err();
        assert!(error.to_string().contains("/bin/false failed"), "{error}");
        assert_eq!(fs::read_dir(folder.path().join("volume-of-an-app")).unwrap().count(), 0);
    }
}
