//! `darsena rotate-key`: another key for everything that is sealed in the database.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::lock::DataLock;
use crate::paths::Paths;

#[derive(clap::Args)]
pub struct Options {
    /// Data folder of the installation; its `serve` must not run.
    #[arg(long, env = "DARSENA_DATA", default_value = "/var/lib/darsena", value_name = "DIR")]
    data: PathBuf,
}

/// Seals every secret anew under a fresh key. Interrupted at any moment, the next start or the next call carries
/// it to its end. Applications go on; they hold no key.
pub fn run(options: &Options) -> Result<()> {
    let paths = Paths::of(&options.data)?;
    let _lock = DataLock::take(&paths.data)?;
    let report = store::Store::rotate_key(&paths.data).context("the key was not changed")?;
    println(&format!(
        "{} secrets are sealed under a new key; keep a new backup of {}",
        report.resealed,
        paths.data.join("key").display()
    ));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the answer of a command")]
fn println(text: &str) {
    println!("{text}");
}
