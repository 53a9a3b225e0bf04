//! This machine, for the commands that need it: `doctor` and `images load`.

use std::path::Path;

use build::Builder;
use build::made::Bases;
use cli::{Check, LoadedImage, Local, LocalError};
use engine::Engine;

use crate::paths::Paths;
use crate::{building, load, serve};

/// Room under which the disk counts as nearly full, in bytes.
const LITTLE_ROOM: u64 = 2 << 30;

/// The machine that this process runs on.
pub struct ThisMachine;

impl Local for ThisMachine {
    fn checks(&self, data: &Path) -> Vec<Check> {
        let mut checks = vec![room(data)];
        checks.extend(containers());
        checks.extend(builds());
        checks
    }

    fn load_image(&self, data: &Path, archive: &Path, image: &str) -> Result<LoadedImage, LocalError> {
        match load::load(data, archive, image) {
            Ok(digest) => Ok(LoadedImage { image: image.to_owned(), digest }),
            Err(error) => Err(LocalError { message: format!("{error:#}"), hint: None }),
        }
    }
}

fn check(name: &str, ok: bool, detail: String, hint: &str) -> Check {
    Check { name: name.to_owned(), ok, detail, hint: (!ok).then(|| hint.to_owned()) }
}

/// Room on the disk of the data folder, or of the first of its parents that exists.
fn room(data: &Path) -> Check {
    let existing = data.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(existing) {
        Ok(disk) => {
            let free = disk.f_bavail * disk.f_frsize;
            let detail = format!("{:.1} GB free at {}", free as f64 / 1e9, existing.display());
            check("disk", free >= LITTLE_ROOM, detail, "free some room; images and logs need at least 2 GB")
        }
        Err(error) => {
            check("disk", false, format!("{}: {error}", existing.display()), "check the data folder")
        }
    }
}

/// What the engine needs, tried on a scratch folder that is gone afterwards.
fn containers() -> Vec<Check> {
    let failed = |error: anyhow::Error| {
        vec![check(
            "engine",
            false,
            format!("{error:#}"),
            "install runc and nftables: apt-get install runc nftables",
        )]
    };
    let run = || -> anyhow::Result<Vec<engine::Check>> {
        let scratch = Scratch::make("engine")?;
        let paths = Paths::prepare(&scratch.0)?;
        let engine =
            serve::open_engine(&paths, &serve::open_images(&paths, serve::NamedRegistries::default())?)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let checks = runtime.block_on(engine.check());
        // What it finds counts, also where it may not clean up: nothing was made.
        let _ = runtime.block_on(engine.down());
        Ok(checks)
    };
    match run() {
        Ok(checks) => checks.into_iter().map(from_engine).collect(),
        Err(error) => failed(error),
    }
}

/// What building images needs. Nothing is made for it but a scratch folder.
fn builds() -> Vec<Check> {
    let run = || -> anyhow::Result<Vec<build::Check>> {
        let scratch = Scratch::make("builds")?;
        let workshop = building::open_workshop(&Paths::prepare(&scratch.0)?, Bases::default())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(workshop.check()))
    };
    match run() {
        Ok(checks) => checks.into_iter().map(from_builder).collect(),
        Err(error) => {
            vec![check("builds", false, format!("{error:#}"), "check the system's temporary folder")]
        }
    }
}

fn from_builder(check: build::Check) -> Check {
    let build::Check { name, ok, detail, hint } = check;
    Check { name, ok, detail, hint }
}

fn from_engine(check: engine::Check) -> Check {
    let engine::Check { name, ok, detail, hint } = check;
    Check { name, ok, detail, hint }
}

/// A folder that is removed at the end.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn make(what: &str) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("darsena-doctor-{what}-{}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is an empty folder in the system's place for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
