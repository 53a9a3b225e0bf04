//! Where an installation keeps its files.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The folders of one installation. Everything that belongs to it and lies elsewhere (network, firewall,
/// control groups) bears its `instance`, so that two installations on one machine never meet.
#[derive(Clone, Debug)]
pub struct Paths {
    /// `--data`: database, keys, images, logs. 0700.
    pub data: PathBuf,
    /// Sockets and container state, gone with a restart of the machine.
    pub run: PathBuf,
    /// Eight hex digits that follow from the path of `data`.
    pub instance: String,
}

impl Paths {
    /// Makes the data folder when it is missing, and finds out the rest.
    pub fn prepare(data: &Path) -> Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data)
            .with_context(|| format!("cannot make the data folder {}", data.display()))?;
        fs::set_permissions(data, fs::Permissions::from_mode(0o700))
            .with_context(|| format!("cannot make {} private", data.display()))?;
        Self::of(data)
    }

    /// The folders of an installation that exists.
    pub fn of(data: &Path) -> Result<Self> {
        let data =
            data.canonicalize().with_context(|| format!("there is no data folder {}", data.display()))?;
        let instance = instance(&data);
        let run = Path::new("/run/darsena").join(&instance);
        Ok(Paths { data, run, instance })
    }

    pub fn images(&self) -> PathBuf {
        self.data.join("images")
    }

    pub fn containers(&self) -> PathBuf {
        self.data.join("containers")
    }

    /// What builds keep, and what they are about.
    pub fn builds(&self) -> PathBuf {
        self.data.join("builds")
    }

    /// The files of repositories that are built.
    pub fn checkouts(&self) -> PathBuf {
        self.data.join("checkouts")
    }

    /// Secrets of Git while they are used: in memory, like everything of the run folder.
    pub fn git_scratch(&self) -> PathBuf {
        self.run.join("git")
    }

    /// Route table of the ingress.
    pub fn ingress_state(&self) -> PathBuf {
        self.data.join("ingress")
    }

    pub fn ingress_socket(&self) -> PathBuf {
        self.run.join("ingress.sock")
    }
}

impl Paths {
    /// Removes the run folder once nothing runs any more. A killed ingress leaves its sockets there.
    pub fn remove_run(&self) {
        for socket in ingress::socket_names(&self.ingress_socket()) {
            let _ = fs::remove_file(socket);
        }
        // A killed process may have left something there.
        let _ = fs::remove_dir_all(self.git_scratch());
        // Not empty: something of a container stays, and was reported.
        let _ = fs::remove_dir(&self.run);
        if let Some(parent) = self.run.parent() {
            let _ = fs::remove_dir(parent);
        }
    }
}

/// FNV-1a over the path, folded to 32 bits: short, stable, and no secret.
fn instance(data: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let hash = data.as_os_str().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{:08x}", (hash ^ (hash >> 32)) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_stable_and_its_own() {
        assert_eq!(instance(Path::new("/var/lib/darsena")), instance(Path::new("/var/lib/darsena")));
        assert_ne!(instance(Path::new("/var/lib/darsena")), instance(Path::new("/var/lib/darsena2")));
        assert_eq!(instance(Path::new("/a")).len(), 8);
    }

    #[test]
    fn what_a_killed_ingress_leaves_is_removed_with_the_run_folder() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("darsena/0badcafe");
        fs::create_dir_all(&run).unwrap();
        for name in ["ingress.sock", "ingress.sock.new", "ingress.sock.kept"] {
            fs::write(run.join(name), "").unwrap();
        }
        let paths = Paths { data: folder.path().to_owned(), run, instance: "0badcafe".to_owned() };
        paths.remove_run();
        assert!(!paths.run.exists());
    }
}
