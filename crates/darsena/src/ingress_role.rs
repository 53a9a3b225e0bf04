//! The data plane's process.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;

/// What `serve` hands over.
#[derive(clap::Args)]
pub struct Options {
    #[arg(long)]
    http: SocketAddr,
    #[arg(long)]
    control: PathBuf,
    #[arg(long)]
    state: PathBuf,
}

pub fn run(options: Options) -> Result<()> {
    crate::serve::log_to_stderr();
    let Options { http, control, state } = options;
    ingress::run(ingress::ProcessConfig { http, control, state })?;
    Ok(())
}
