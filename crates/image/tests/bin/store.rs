//! A process with a store of its own, for tests that kill one in the middle of its work. It says `begins` when the
//! store is open.
//!
//! Arguments: the store's folder, the unpack program, then one of
//! `sweep DIGEST...` (what to keep), `load LAYOUT NAME` or `pull HOST REFERENCE`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use image::{Config, ImageError, ImageStore, Progress, RoleCommand};
use model::CompanyId;
use model::image::Reference;

const USAGE: &str = "ROOT UNPACK sweep DIGEST... | load LAYOUT NAME | pull HOST REFERENCE";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.map(|runtime| runtime.block_on(work(&args))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{error}");
    ExitCode::FAILURE
}

async fn work(args: &[&str]) -> Result<(), Box<dyn std::error::Error>> {
    match args {
        [root, unpack, "sweep", keep @ ..] => {
            let keep = keep.iter().map(|text| text.parse()).collect::<Result<Vec<_>, _>>()?;
            open(root, unpack, None)?.sweep(&keep)?;
        }
        [root, unpack, "load", layout, name] => {
            open(root, unpack, None)?.load(Path::new(layout), &Reference::parse(name)?).await?;
        }
        [root, unpack, "pull", host, reference] => {
            let store = open(root, unpack, Some(*host))?;
            let reference = Reference::parse(reference)?;
            let owner: CompanyId = "01920000-0000-7000-8000-000000000001".parse()?;
            let resolved = store.resolve(&reference, None, owner).await?;
            store.fetch(&resolved.manifest, &reference, None, owner, &Progress::new()).await?;
        }
        _ => return Err(USAGE.into()),
    }
    Ok(())
}

fn open(root: &str, unpack: &str, insecure: Option<&str>) -> Result<ImageStore, ImageError> {
    let mut config = Config::new(root.into(), RoleCommand { program: unpack.into(), args: Vec::new() });
    config.insecure_registries = insecure.into_iter().map(str::to_owned).collect();
    let store = ImageStore::open(config)?;
    let mut out = std::io::stdout();
    let _ = writeln!(out, "begins").and_then(|()| out.flush());
    Ok(store)
}
