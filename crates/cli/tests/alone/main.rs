//! The command line without the rest of the program.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use cli::{Check, LoadedImage, Local, LocalError};

#[derive(Parser)]
struct Arguments {
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: cli::Command,
}

/// A machine on which one thing is wrong, unless the data folder is called `good`.
struct Machine;

impl Local for Machine {
    fn checks(&self, data: &Path) -> Vec<Check> {
        let ok = data.ends_with("good");
        let hint = Some("apt install runc".to_owned());
        vec![Check { name: "runc".to_owned(), ok, detail: data.display().to_string(), hint }]
    }

    fn load_image(&self, _: &Path, archive: &Path, image: &str) -> Result<LoadedImage, LocalError> {
        if archive.ends_with("missing") {
            return Err(LocalError { message: "there is no file missing".to_owned(), hint: None });
        }
        Ok(LoadedImage { image: image.to_owned(), digest: "sha256:aa".to_owned() })
    }
}

fn main() -> ExitCode {
    let Arguments { json, command } = Arguments::parse();
    cli::run(command, json, &Machine)
}
