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
    if !complete(&mut config)? {
        return Ok(());
    }
    (manifest["config"]["digest"], manifest["config"]["size"]) = write(layout, &config)?;
    (index["manifests"][0]["digest"], index["manifests"][0]["size"]) = write(layout, &manifest)?;
    fs::write(layout.join("index.json"), index.to_string())
}

/// Completes the history of an image's configuration; gives whether anything was missing. Whoever made the image may
/// have written anything there.
fn complete(config: &mut Value) -> io::Result<bool> {
    let layers = config["rootfs"]["diff_ids"].as_array().map_or(0, Vec::len);
    let fields = config.as_object_mut().ok_or_else(|| io::Error::other("its configuration is no object"))?;
    let is_layer = |entry: &&Value| entry["empty_layer"] != json!(true);
    let fits = |history: &Vec<Value>| {
        history.iter().all(Value::is_object) && history.iter().filter(is_layer).count() == layers
    };
    let mut was_missing = !fields.get("history").and_then(Value::as_array).is_some_and(fits);
    if was_missing {
        fields.insert("history".to_owned(), json!(vec![json!({"created_by": "base image"}); layers]));
    }
    let entries = fields.get_mut("history").and_then(Value::as_array_mut).into_iter().flatten();
    for entry in entries.filter_map(Value::as_object_mut) {
        if entry.get("created").is_none_or(Value::is_null) {
            entry.insert("created".to_owned(), json!("1970-01-01T00:00:00Z"));
            was_missing = true;
        }
    }
    Ok(was_missing)
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
        assert!(!complete(&mut whole).unwrap());
        assert_eq!(whole, before);

        whole["history"][2]["created"] = Value::Null;
        assert!(complete(&mut whole).unwrap());
        assert_eq!(whole["history"][2]["created_by"], "b");
        assert!(whole["history"][2]["created"].is_string());

        let mut none = json!({"rootfs": layers});
        assert!(complete(&mut none).unwrap());
        assert_eq!(none["history"].as_array().unwrap().len(), 2);
    }
    #[test]
    fn a_history_of_anything_else_is_replaced() {
        let layers = json!({"diff_ids": ["sha256:a"]});
        for history in [json!(["a"]), json!([1]), json!({"a": 1}), json!("a"), json!([[]]), json!([null])] {
            let mut config = json!({"rootfs": layers, "history": history});
            assert!(complete(&mut config).unwrap(), "{config}");
            assert_eq!(config["history"][0]["created_by"], "base image");
        }
        for config in [json!([]), json!("a"), json!(null)] {
            assert!(complete(&mut config.clone()).is_err(), "{config}");
        }
    }
}
