//! The builder of this machine: Debian's `buildah`, in a closed room of its own ([`crate::room`]).
//!
//! ```text
//! FOLDER/volumes/APP/volume       filesystem of an application's builds: layers, cache mounts, work; bounded
//! FOLDER/volumes/APP/bases.json   base images that are in it
//! FOLDER/volumes/APP/lock         held by the room that has it mounted
//! FOLDER/builds/BUILD/            what one build needs and makes: bases/, out/
//! ```

mod base;
mod caches;
mod check;
mod config;
mod disk;
mod explain;
mod mask;
mod output;
mod process;
mod result;
mod session;
mod source;
mod tail;
mod turns;
mod volume;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use model::{AppId, BuildSettings, DeploymentId, Failure};

pub use config::{Config, Limits, Role};
pub use mask::Mask;
pub(crate) use output::says_full;
pub(crate) use result::WRITTEN;

use crate::builder::{Builder, Built, Check, Dockerfile, Order, Surroundings};
use caches::Caches;
use session::Session;
use source::Source;
use turns::Turns;

/// Builds with the programs of this machine.
pub struct Workshop {
    config: Arc<Config>,
    apps: Arc<Turns<AppId>>,
    caches: Arc<Caches>,
    builds: Turns<DeploymentId>,
}

impl Workshop {
    /// Makes the folders. They must belong to this workshop alone.
    pub fn open(config: Config) -> io::Result<Self> {
        let config = Arc::new(config);
        for folder in [&config.folder, &config.volumes(), &config.builds()] {
            disk::make_private(folder)?;
        }
        let apps: Arc<Turns<AppId>> = Arc::default();
        let caches = Arc::new(Caches::new(config.clone(), apps.clone()));
        Ok(Self { config, apps, caches, builds: Turns::default() })
    }

    /// Reads from a checkout, which may be on a slow disk.
    async fn look(&self, checkout: &Path, settings: &BuildSettings) -> Result<Source, Failure> {
        let (checkout, settings): (PathBuf, BuildSettings) = (checkout.to_owned(), settings.clone());
        let config = self.config.clone();
        tokio::task::spawn_blocking(move || Source::open(&checkout, &settings, &config.bases))
            .await
            .unwrap_or_else(|error| {
                Err(explain::internal(format!("Reading the checkout ended early: {error}.")))
            })
    }
}

#[async_trait]
impl Builder for Workshop {
    async fn dockerfile(&self, checkout: &Path, settings: &BuildSettings) -> Result<Dockerfile, Failure> {
        Ok(self.look(checkout, settings).await?.dockerfile)
    }

    async fn build(&self, order: &Order, surroundings: &dyn Surroundings) -> Result<Built, Failure> {
        let app = self.apps.take(order.app).await;
        let build = self.builds.take(order.build).await;
        let source = self.look(&order.checkout, &order.settings).await?;
        let (config, caches) = (self.config.clone(), self.caches.clone());
        Session::begin(config, caches, order, source, (app, build))?.run(surroundings).await
    }

    async fn clear(&self, build: DeploymentId) -> io::Result<()> {
        let _turn = self.builds.take(build).await;
        disk::remove(self.config.build(build)).await
    }

    async fn forget(&self, app: AppId) -> io::Result<()> {
        let _turn = self.apps.take(app).await;
        disk::remove(self.config.volume(app)).await
    }

    async fn kept(&self) -> io::Result<Vec<AppId>> {
        self.caches.apps()
    }

    async fn check(&self) -> Vec<Check> {
        check::check(&self.config).await
    }
}
