//! What the room wrote, made an OCI image layout of plain files that are ours.
//!
//! The builder writes a folder of blobs, named by their digests, beside `manifest.json`: it is the one form in which it
//! leaves layers uncompressed. Whoever takes the layout verifies the blobs.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use model::image::Digest;
use rustix::fs::{CWD, Dir, FileType, Gid, Mode, OFlags, Uid, fchmod, fchown, fstat, openat, unlinkat};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::mask::Mask;

/// Where the builder writes to, in the folder for the result.
pub(crate) const WRITTEN: &str = "image";
/// Largest manifest or configuration that is read, in bytes.
const MAX_DOCUMENT: u64 = 4 << 20;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Makes the layout in the folder for the result. Refuses links, devices and whatever else is no part of an image. The
/// room has ended, so nobody changes anything meanwhile.
pub(super) fn adopt(out: &Path, mask: &Mask) -> io::Result<()> {
    let folder = openat(CWD, out, FOLDER, Mode::empty())?;
    own(&folder, 0o700)?;
    let written = openat(&folder, WRITTEN, FOLDER, Mode::empty())?;
    own(&written, 0o700)?;
    let blobs = out.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let blobs = openat(CWD, &blobs, FOLDER, Mode::empty())?;

    let mut manifest = None;
    for name in names(&written)? {
        let file = openat(&written, &name, FILE, Mode::empty())?;
        let stat = fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink != 1 {
            return Err(io::Error::other(format!("{name} is no plain file")));
        }
        own(&file, 0o600)?;
        match name.as_str() {
            "version" => unlinkat(&written, &name, rustix::fs::AtFlags::empty())?,
            "manifest.json" => {
                manifest = Some(read_json(file)?);
                unlinkat(&written, &name, rustix::fs::AtFlags::empty())?;
            }
            _ if is_hex(&name) => rustix::fs::renameat(&written, &name, &blobs, &name)?,
            _ => return Err(io::Error::other(format!("{name} is no part of an image"))),
        }
    }
    let mut manifest = manifest.ok_or_else(|| io::Error::other("there is no manifest"))?;
    fs::remove_dir(out.join(WRITTEN))?;
    hide_arguments(&blobs, &mut manifest, mask)?;
    write_index(out, &blobs, &manifest)
}

/// The image's history repeats the values of `ARG`s. Whoever gets the image must not read them there.
fn hide_arguments(blobs: &OwnedFd, manifest: &mut Value, mask: &Mask) -> io::Result<()> {
    let digest = manifest["config"]["digest"].as_str().and_then(|text| Digest::parse(text).ok());
    let digest = digest.ok_or_else(|| io::Error::other("the manifest names no configuration"))?;
    let mut config = read_json(openat(blobs, digest.hex(), FILE, Mode::empty())?)?;
    let mut was_hidden = false;
    for entry in config.get_mut("history").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(text) = entry["created_by"].as_str() else { continue };
        let hidden = mask.hide(text.to_owned());
        was_hidden |= hidden != text;
        entry["created_by"] = json!(hidden);
    }
    if was_hidden {
        unlinkat(blobs, digest.hex(), rustix::fs::AtFlags::empty())?;
        (manifest["config"]["digest"], manifest["config"]["size"]) = write_json(blobs, &config)?;
    }
    Ok(())
}

/// `oci-layout` and `index.json` (image-spec, image-layout.md).
fn write_index(out: &Path, blobs: &OwnedFd, manifest: &Value) -> io::Result<()> {
    let (digest, size) = write_json(blobs, manifest)?;
    let media_type = &manifest["mediaType"];
    let index = json!({
        "schemaVersion": 2,
        "manifests": [{"mediaType": media_type, "digest": digest, "size": size}],
    });
    fs::write(out.join("oci-layout"), json!({"imageLayoutVersion": "1.0.0"}).to_string())?;
    fs::write(out.join("index.json"), index.to_string())
}

fn read_json(file: OwnedFd) -> io::Result<Value> {
    let mut bytes = Vec::new();
    fs::File::from(file).take(MAX_DOCUMENT).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// Writes a document among the blobs; gives digest and size.
fn write_json(blobs: &OwnedFd, document: &Value) -> io::Result<(Value, Value)> {
    let bytes = document.to_string().into_bytes();
    let hex = hex::encode(Sha256::digest(&bytes));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = fs::File::from(openat(blobs, &hex, flags, Mode::from_raw_mode(0o600))?);
    file.write_all(&bytes)?;
    Ok((json!(format!("sha256:{hex}")), json!(bytes.len())))
}

fn names(folder: &OwnedFd) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if ![".", ".."].contains(&&*name) {
            names.push(name);
        }
    }
    Ok(names)
}

fn is_hex(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn own(file: &impl AsFd, mode: u32) -> io::Result<()> {
    fchown(file, Some(Uid::ROOT), Some(Gid::ROOT))?;
    Ok(fchmod(file, Mode::from_raw_mode(mode))?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn written(files: &[(&str, &str)]) -> tempfile::TempDir {
        let out = tempfile::tempdir().unwrap();
        fs::create_dir(out.path().join(WRITTEN)).unwrap();
        for (name, text) in files {
            fs::write(out.path().join(WRITTEN).join(name), text).unwrap();
        }
        out
    }

    #[test]
    fn what_is_no_part_of_an_image_is_refused() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let blob = "a".repeat(64);
        let text = format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"digest":"sha256:{blob}"}}}}"#
        );
        let manifest = ("manifest.json", &*text);
        let config = r#"{"history":[{"created_by":"ARG A=\"value of A\""},{"created_by":"RUN b"}]}"#;
        let mask = Mask::of(&[("A".to_owned(), crate::Secret::new("value of A"))]);
        let adopt = |out: &tempfile::TempDir| adopt(out.path(), &mask);

        let out = written(&[manifest, (&blob, config), ("version", "1")]);
        adopt(&out).unwrap();
        let index = fs::read_to_string(out.path().join("index.json")).unwrap();
        assert!(index.contains("sha256:") && index.contains("vnd.oci.image.manifest"), "{index}");
        let blobs: Vec<String> = fs::read_dir(out.path().join("blobs/sha256"))
            .unwrap()
            .map(|blob| fs::read_to_string(blob.unwrap().path()).unwrap())
            .collect();
        assert!(blobs.iter().any(|blob| blob.contains("***") && blob.contains("RUN b")), "{blobs:?}");
        assert!(blobs.len() == 2 && blobs.iter().all(|blob| !blob.contains("value of A")), "{blobs:?}");

        let reason = |out: &tempfile::TempDir| adopt(out).unwrap_err().to_string();
        assert!(reason(&written(&[manifest, ("other", "")])).contains("no part"));
        assert!(reason(&written(&[(&blob, "")])).contains("no manifest"));
        for config in ["[]", "\"a\"", r#"{"history":["a",1,null]}"#] {
            adopt(&written(&[manifest, (&blob, config)])).unwrap();
        }
        for manifest in ["[]", "1", r#"{"config":[]}"#] {
            assert!(reason(&written(&[("manifest.json", manifest)])).contains("no configuration"));
        }
        let linked = written(&[manifest]);
        symlink("/etc/shadow", linked.path().join(WRITTEN).join(&blob)).unwrap();
        assert!(adopt(&linked).is_err());
        let twice = written(&[manifest, (&blob, "")]);
        fs::hard_link(twice.path().join(WRITTEN).join(&blob), twice.path().join("elsewhere")).unwrap();
        assert!(reason(&twice).contains("no plain file"));
    }
}
