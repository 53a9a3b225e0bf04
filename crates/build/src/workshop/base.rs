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

/// The builder fails where there is not one entry of history for each layer, and keeps nothing from build to build where
/// an entry has no time; not every image has them. History is for people, so any will do.
fn complete_history(layout: &Path) -> io::Result<()> {
    let mut index = read(&layout.join("index.json"))?;
    let mut manifest = read(&blob(layout, &index["manifests"][0]["digest"])?)?;
    let mut config = read(&blob(layout, &manifest["config"]["digest"])?)?;
    if !complete(&mut config) {
        return Ok(());
    }
    (manifest["config"]["digest"], manifest["config"]["size"]) = write(layout, &config)?;
    (index["manifests"][0]["digest"], index["manifests"][0]["size"]) = write(layout, &manifest)?;
    fs::write(layout.join("index.json"), index.to_string())
}

/// Completes the history of an image's configuration; gives whether anything was missing.
fn complete(config: &mut Value) -> bool {
    let layers = config["rootfs"]["diff_ids"].as_array().map_or(0, Vec::len);
    let is_layer = |entry: &&Value| entry["empty_layer"] != json!(true);
    let told = config["history"].as_array().map_or(0, |history| history.iter().filter(is_layer).count());
    let mut was_missing = told != layers;
    if was_missing {
        config["history"] = json!(vec![json!({"created_by": "base image"}); layers]);
    }
    for entry in
        config["history"].as_array_mut().into_iter().flatten().filter(|entry| entry["created"].is_null())
    {
        entry["created"] = json!("1970-01-01T00:00:00Z");
        was_missing = true;
    }
    was_missing
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_is_completed_and_else_left_alone() {
        let layers = json!({"diff_ids": ["sha256:a", "sha256:b"]});
        let mut whole = json!({"rootfs": layers, "history": [
            {"created": "2024-01-01T00:00:00Z", "created_by": "a"},
            {"created": "2024-01-01T00:00:00Z", "empty_layer": true},
            {"created": "2024-01-01T00:00:00Z", "created_by": "b"},
        ]});
        let before = whole.clone();
        assert!(!complete(&mut whole));
        assert_eq!(whole, before);

        whole["history"][2]["created"] = Value::Null;
        assert!(complete(&mut whole));
        assert_eq!(whole["history"][2]["created_by"], "b");
        assert!(whole["history"][2]["created"].is_string());

        let mut none = json!({"rootfs": layers});
        assert!(complete(&mut none));
        assert_eq!(none["history"].as_array().unwrap().len(), 2);
    }
}
