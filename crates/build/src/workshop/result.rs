//! What the room wrote, made an OCI image layout of plain files that are ours.
//!
//! The builder writes a folder of blobs, named by their digests, beside `manifest.json`: it is the one form in which it
//! leaves layers uncompressed. Whoever takes the layout verifies the blobs.

use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Dir, FileType, Gid, Mode, OFlags, Uid, fchmod, fchown, fstat, openat, unlinkat};
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// Where the builder writes to, in the folder for the result.
pub(crate) const WRITTEN: &str = "image";
/// Largest manifest that is read, in bytes.
const MAX_MANIFEST: u64 = 4 << 20;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Makes the layout in the folder for the result. Refuses links, devices and whatever else is no part of an image. The
/// room has ended, so nobody changes anything meanwhile.
pub(super) fn adopt(out: &Path) -> io::Result<()> {
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
                let mut bytes = Vec::new();
                fs::File::from(file).take(MAX_MANIFEST).read_to_end(&mut bytes)?;
                let hex = hex::encode(Sha256::digest(&bytes));
                rustix::fs::renameat(&written, &name, &blobs, &hex)?;
                manifest = Some((hex, bytes));
            }
            _ if is_hex(&name) => rustix::fs::renameat(&written, &name, &blobs, &name)?,
            _ => return Err(io::Error::other(format!("{name} is no part of an image"))),
        }
    }
    let (hex, bytes) = manifest.ok_or_else(|| io::Error::other("there is no manifest"))?;
    fs::remove_dir(out.join(WRITTEN))?;
    write_index(out, &hex, &bytes)
}

/// `oci-layout` and `index.json` (image-spec, image-layout.md).
fn write_index(out: &Path, hex: &str, manifest: &[u8]) -> io::Result<()> {
    let document: serde_json::Value = serde_json::from_slice(manifest)?;
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": document["mediaType"],
        "digest": format!("sha256:{hex}"),
        "size": manifest.len(),
    }]});
    fs::write(out.join("oci-layout"), json!({"imageLayoutVersion": "1.0.0"}).to_string())?;
    fs::write(out.join("index.json"), index.to_string())
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
        let manifest = ("manifest.json", r#"{"mediaType":"application/vnd.oci.image.manifest.v1+json"}"#);
        let out = written(&[manifest, (&blob, "blob"), ("version", "1")]);
        adopt(out.path()).unwrap();
        assert_eq!(fs::read_to_string(out.path().join("blobs/sha256").join(&blob)).unwrap(), "blob");
        let index = fs::read_to_string(out.path().join("index.json")).unwrap();
        assert!(index.contains("sha256:") && index.contains("vnd.oci.image.manifest"), "{index}");

        let reason = |out: &tempfile::TempDir| adopt(out.path()).unwrap_err().to_string();
        assert!(reason(&written(&[manifest, ("other", "")])).contains("no part"));
        assert!(reason(&written(&[(&blob, "")])).contains("no manifest"));
        let linked = written(&[manifest]);
        symlink("/etc/shadow", linked.path().join(WRITTEN).join(&blob)).unwrap();
        assert!(adopt(linked.path()).is_err());
        let twice = written(&[manifest, (&blob, "")]);
        fs::hard_link(twice.path().join(WRITTEN).join(&blob), twice.path().join("elsewhere")).unwrap();
        assert!(reason(&twice).contains("no plain file"));
    }
}
