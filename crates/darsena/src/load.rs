//! `darsena images load`: an image from a file, with no registry between.

use std::path::Path;

use anyhow::{Result, bail};
use model::image::Reference;

use crate::paths::Paths;
use crate::serve;

/// Loads an OCI layout, a tar or a folder, under a name `localhost/NAME[:TAG]`. Gives its digest.
pub fn load(data: &Path, archive: &Path, name: &str) -> Result<String> {
    let reference = Reference::parse(name)?;
    if !reference.is_local() {
        bail!(
            "a loaded image is named localhost/NAME:TAG; {name} names one of the registry {}",
            reference.host()
        );
    }
    let paths = Paths::of(data)?;
    let images = serve::open_images(&paths, serve::NamedRegistries::default())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let resolved = runtime.block_on(images.load(archive, &reference))?;
    Ok(resolved.digest.to_string())
}
