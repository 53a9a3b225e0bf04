//! Stopping what outlives `serve`: containers, ingress, and their traces on the machine.

use std::path::PathBuf;

use anyhow::{Context, Result};
use engine::Engine;

use crate::lock::DataLock;
use crate::paths::Paths;
use crate::serve;

#[derive(clap::Args)]
pub struct Options {
    /// Data folder of the installation.
    #[arg(long, env = "DARSENA_DATA", default_value = "/var/lib/darsena", value_name = "DIR")]
    data: PathBuf,
}

/// Ends every container and the ingress of an installation whose `serve` does not run. The data stays, so
/// that the next `serve` brings the applications back. Doing it twice is fine.
pub fn run(options: &Options) -> Result<()> {
    let paths = Paths::of(&options.data)?;
    let _lock = DataLock::take(&paths.data)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let config = ingress::ProcessConfig {
            http: ([127, 0, 0, 1], 0).into(),
            control: paths.ingress_socket(),
            state: paths.ingress_state(),
        };
        match ingress::Client::new(serve::ingress_launch(&paths)?, config).shutdown().await {
            Ok(()) | Err(ingress::IngressError::NotRunning { .. }) => {}
            Err(error) => return Err(error).context("the ingress cannot be stopped"),
        }
        let images = serve::open_images(&paths, serve::NamedRegistries::default())?;
        serve::open_engine(&paths, &images)?
            .down()
            .await
            .context("not everything could be removed; try again")?;
        paths.remove_run();
        Ok(())
    })
}
