//! What is kept for the next builds, of all applications: it gives way when the disk fills up.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use model::AppId;

use super::config::Config;
use super::disk;
use super::turns::Turns;
use super::volume::Volume;

/// The volumes of all applications.
pub(super) struct Caches {
    config: Arc<Config>,
    apps: Arc<Turns<AppId>>,
}

impl Caches {
    pub fn new(config: Arc<Config>, apps: Arc<Turns<AppId>>) -> Self {
        Self { config, apps }
    }

    /// Applications that something is kept of.
    pub fn apps(&self) -> io::Result<Vec<AppId>> {
        let mut apps = Vec::new();
        for volume in fs::read_dir(self.config.volumes())? {
            apps.extend(volume?.file_name().to_str().and_then(|name| name.parse::<AppId>().ok()));
        }
        Ok(apps)
    }

    /// Whether the host's disk has the reserve. If not, volumes that no build goes on in are thrown away until it
    /// has, those that were not used for longest first.
    pub async fn keep_reserve(&self) -> bool {
        if self.has_reserve() {
            return true;
        }
        let (config, apps) = (self.config.clone(), self.apps.clone());
        let thrown = tokio::task::spawn_blocking(move || Self::new(config, apps).make_room()).await;
        match thrown {
            Ok(Err(error)) => tracing::warn!(%error, "what is kept for builds could not be thrown away"),
            Err(error) => tracing::error!(%error, "throwing away what is kept for builds ended early"),
            Ok(Ok(())) => {}
        }
        self.has_reserve()
    }

    /// A disk that cannot be asked is not full.
    fn has_reserve(&self) -> bool {
        disk::free(&self.config.folder).map_or(true, |free| free >= self.config.limits.reserve)
    }

    fn make_room(&self) -> io::Result<()> {
        let file = |app| Volume::of(self.config.volume(app)).file();
        let used = |app| -> Option<(SystemTime, AppId)> {
            fs::metadata(file(app)).and_then(|meta| meta.modified()).ok().map(|at| (at, app))
        };
        let mut kept: Vec<(SystemTime, AppId)> = self.apps()?.into_iter().filter_map(used).collect();
        kept.sort();
        for (_, app) in kept {
            if self.has_reserve() {
                break;
            }
            let Some(_turn) = self.apps.take_free(app) else { continue };
            Volume::of(self.config.volume(app)).discard()?;
            tracing::info!(%app, "the disk is nearly full, so what was kept for builds is thrown away");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made::Bases;
    use crate::room::protocol::Programs;
    use crate::workshop::{Limits, Role};
    use std::path::PathBuf;
    use std::time::Duration;

    fn caches(reserve: u64) -> (tempfile::TempDir, Caches) {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            folder: folder.path().to_owned(),
            role: Role { program: "/nothing".into(), args: Vec::new() },
            programs: Programs::default(),
            limits: Limits { reserve, ..Limits::default() },
            first_id: 0,
            bases: Bases::default(),
            resolv_conf: String::new,
        };
        (folder, Caches::new(Arc::new(config), Arc::default()))
    }

    fn volume(caches: &Caches, age: u64) -> (AppId, PathBuf) {
        let app = AppId::new();
        let folder = caches.config.volume(app);
        fs::create_dir_all(&folder).unwrap();
        let file = fs::File::create(folder.join("volume")).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        fs::write(folder.join("bases.json"), "[]").unwrap();
        (app, folder)
    }

    #[tokio::test]
    async fn a_full_disk_takes_what_nobody_uses_now() {
        let (_folder, caches) = caches(u64::MAX);
        let (busy, free) = (volume(&caches, 20), volume(&caches, 10));
        let _turn = caches.apps.take(busy.0).await;
        assert!(!caches.keep_reserve().await);
        assert!(busy.1.join("volume").exists());
        assert!(!free.1.join("volume").exists() && !free.1.join("bases.json").exists());
        assert!(caches.apps.take_free(free.0).is_some(), "its turn is given back");
    }

    #[tokio::test]
    async fn a_disk_with_room_takes_nothing() {
        let (_folder, caches) = caches(0);
        let kept = volume(&caches, 10);
        assert!(caches.keep_reserve().await);
        assert!(kept.1.join("volume").exists());
    }
}
