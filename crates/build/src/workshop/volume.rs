//! The volume of an application, from outside: made, thrown away, and which base images are in it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::disk;

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
            return Err(io::Error::other(format!("{} failed: {said}", mkfs.display())));
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
