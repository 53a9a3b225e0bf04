//! The root filesystem: an overlay of the image's layers with a writable one on top
//! (Documentation/filesystems/overlayfs.rst), mounted in the supervisor's own mount namespace.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::Path;

use model::image::RootFs;
use nix::mount::{MsFlags, mount};

use crate::error::Doing;
use crate::folders::{DataFolder, RunFolder, make_private};
use crate::{EngineError, Refusal};

/// The kernel's own limit of lower layers.
const LAYERS_MAX: usize = 500;

/// Mounts the overlay at [`RunFolder::rootfs`].
///
/// The kernel takes at most a page of options: about sixty names of 64 digits. So each layer gets a short
/// symbolic link, `0` being the top one, and the names are relative to the folder of links. That holds 500
/// layers on every kernel, and a path with a colon or a comma needs no escapes.
pub(super) fn mount_overlay(
    rootfs: &RootFs,
    layers: &Path,
    run: &RunFolder,
    data: &DataFolder,
) -> Result<(), EngineError> {
    check_layers(rootfs, layers)?;
    make_folders(run, data)
        .doing(|| format!("making folders for the container in {}", data.path().display()))?;
    let names = link_layers(rootfs, layers, run, data).doing(|| "naming the layers".to_owned())?;

    std::env::set_current_dir(run.overlay()).doing(|| "entering the folder of layers".to_owned())?;
    let options = options(&names);
    let mounted =
        mount(Some("overlay"), &run.rootfs(), Some("overlay"), MsFlags::MS_NODEV, Some(options.as_str()));
    std::env::set_current_dir("/").doing(|| "leaving the folder of layers".to_owned())?;
    mounted.map_err(std::io::Error::from).doing(|| format!("mounting an overlay of {} layers", names.len()))
}

/// `index` and `metacopy` are off and redirects are not followed, whatever the machine's defaults: names that
/// a hostile layer could smuggle in as attributes mean nothing. `volatile`: what a container writes is thrown
/// away with it, so nobody waits for the disk.
fn options(names: &[String]) -> String {
    let lower = names.join(":");
    format!("lowerdir={lower},upperdir=u,workdir=w,index=off,metacopy=off,redirect_dir=nofollow,volatile")
}

fn check_layers(rootfs: &RootFs, layers: &Path) -> Result<(), EngineError> {
    let count = rootfs.layers.len();
    if count == 0 {
        let refusal = Refusal::config("the image has no files: it has no layers", "deploy another image");
        return Err(EngineError::Refused(refusal));
    }
    if count > LAYERS_MAX {
        let message = format!("the image has {count} layers, and the kernel takes at most {LAYERS_MAX}");
        return Err(EngineError::Refused(Refusal::config(message, "build the image with fewer layers")));
    }
    for layer in &rootfs.layers {
        let files = layers.join(layer.hex()).join("fs");
        if !files.is_dir() {
            return Err(EngineError::host(
                format!("looking for layer {layer}"),
                "its files are not in place",
            ));
        }
    }
    Ok(())
}

fn make_folders(run: &RunFolder, data: &DataFolder) -> std::io::Result<()> {
    make_private(&run.rootfs())?;
    make_private(&run.overlay())?;
    make_private(&data.logs())?;
    make_private(&data.work())?;
    // The upper folder lends its mode and owner to the container's root.
    fs::DirBuilder::new().mode(0o755).create(data.upper())
}

fn link_layers(
    rootfs: &RootFs,
    layers: &Path,
    run: &RunFolder,
    data: &DataFolder,
) -> std::io::Result<Vec<String>> {
    symlink(data.upper(), run.overlay().join("u"))?;
    symlink(data.work(), run.overlay().join("w"))?;
    let link = |(index, layer): (usize, &model::image::DiffId)| {
        let name = index.to_string();
        symlink(layers.join(layer.hex()).join("fs"), run.overlay().join(&name))?;
        Ok(name)
    };
    rootfs.layers.iter().rev().enumerate().map(link).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_five_hundred_layers_fit_in_a_page() {
        let names: Vec<_> = (0..LAYERS_MAX).map(|index| index.to_string()).collect();
        assert!(options(&names).len() < 4095);
    }
}
