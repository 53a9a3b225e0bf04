//! A base image as it came, made fit for the builder.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Lets the builder's user read an image layout, and gives the image a history if it has none that fits.
pub(super) fn make_fit(layout: &Path) -> io::Result<()> {
    complete_history(layout)?;
    open_up(layout)
}

/// The builder wants one entry of history for each layer once it has added its own, and fails otherwise; not every
/// image has that. History is for people, so any will do.
fn complete_history(layout: &Path) -> io::Result<()> {
    let mut index = read(&layout.join("index.json"))?;
    let mut manifest = read(&blob(layout, &index["manifests"][0]["digest"])?)?;
    let mut config = read(&blob(layout, &manifest["config"]["digest"])?)?;
    let layers = config["rootfs"]["diff_ids"].as_array().map_or(0, Vec::len);
    let is_layer = |entry: &&Value| entry["empty_layer"] != json!(true);
    let told = config["history"].as_array().map_or(0, |history| history.iter().filter(is_layer).count());
    if told == layers {
        return Ok(());
    }
    config["history"] = json!(vec![json!({"created_by": "base image"}); layers]);
    (manifest["config"]["digest"], manifest["config"]["size"]) = write(layout, &config)?;
    (index["manifests"][0]["digest"], index["manifests"][0]["size"]) = write(layout, &manifest)?;
    fs::write(layout.join("index.json"), index.to_string())
}

fn read(path: &Path) -> io::Result<Value> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// Writes a document among the blobs; gives digest and size.
fn write(layout: &Path, document: &Value) -> io::Result<(Value, Value)> {
    let bytes = document.to_string().into_bytes();
    let hex = hex::encode(Sha256::digest(&bytes));
    fs::write(layout.join("blobs/sha256").join(&hex), &bytes)?;
    Ok((json!(format!("sha256:{hex}")), json!(bytes.len())))
}

fn blob(layout: &Path, digest: &Value) -> io::Result<PathBuf> {
    let digest = digest.as_str().and_then(|text| model::image::Digest::parse(text).ok());
    let digest = digest.ok_or_else(|| io::Error::other("a base image without a digest"))?;
    Ok(layout.join("blobs/sha256").join(digest.hex()))
}

fn open_up(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()? {
            kind if kind.is_dir() => open_up(&entry.path())?,
            kind if kind.is_file() => fs::set_permissions(entry.path(), Permissions::from_mode(0o644))?,
            _ => {}
        }
    }
    Ok(())
}
