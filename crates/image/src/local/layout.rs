//! An OCI layout: `oci-layout`, `index.json` and `blobs/sha256/…`. A tar is first taken apart into a scratch
//! folder; of its entries only those three kinds are looked at.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use model::image::Digest;
use serde::Deserialize;

use crate::Cause;
use crate::disk::{Folders, Scratch};
use crate::manifest::Descriptor;

/// Largest document that is read, in bytes.
const MAX_DOCUMENT: u64 = 4 << 20;

/// A layout that can be read from.
#[derive(Debug)]
pub(crate) struct Layout {
    /// `blobs/sha256` in it.
    pub blobs: PathBuf,
    /// Index or manifest of the one image in it.
    pub digest: Digest,
    /// Holds the folder that a tar was taken apart into.
    _scratch: Option<Scratch>,
}

#[derive(Deserialize)]
struct Top {
    manifests: Vec<Descriptor>,
}

impl Layout {
    /// Opens a layout with one image. `tag` chooses among several.
    pub fn open(path: &Path, tag: Option<&str>, folders: &Folders) -> Result<Self, Cause> {
        let wrong = |reason: String| Cause::NotALayout { path: path.to_owned(), reason };
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => wrong("there is no such file".to_owned()),
            io::ErrorKind::StorageFull => Cause::storage("write", folders.tmp(), error),
            _ => wrong(error.to_string()),
        };
        let metadata = fs::metadata(path).map_err(unreadable)?;
        let (folder, scratch) = if metadata.is_dir() {
            (path.to_owned(), None)
        } else {
            folders.has_room_for(metadata.len())?;
            let scratch = folders.scratch()?;
            take_apart(path, scratch.path()).map_err(unreadable)?;
            (scratch.path().to_owned(), Some(scratch))
        };
        if !folder.join("oci-layout").is_file() {
            return Err(wrong("it holds no file oci-layout".to_owned()));
        }
        let top = read_bounded(&folder.join("index.json")).map_err(unreadable)?;
        let top: Top =
            serde_json::from_slice(&top).map_err(|error| wrong(format!("its index.json: {error}")))?;
        let digest = choose(&top.manifests, tag).map_err(|reason| wrong(reason.to_owned()))?;
        Ok(Self { blobs: folder.join("blobs").join("sha256"), digest, _scratch: scratch })
    }

    /// A document of the layout, unverified.
    pub fn read(&self, digest: &Digest) -> io::Result<Vec<u8>> {
        read_bounded(&self.blobs.join(digest.hex()))
    }
}

/// The only image, or the one that bears the tag.
fn choose(images: &[Descriptor], tag: Option<&str>) -> Result<Digest, &'static str> {
    let named = |image: &&Descriptor| {
        let name = image.annotations.get("org.opencontainers.image.ref.name");
        name.zip(tag).is_some_and(|(name, tag)| name == tag || name.ends_with(&format!(":{tag}")))
    };
    match images {
        [] => Err("it holds no image"),
        [one] => Ok(one.digest.clone()),
        several => match several.iter().find(named) {
            Some(image) => Ok(image.digest.clone()),
            None => Err("it holds several images, and none bears this tag"),
        },
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(io::Error::other(format!("a document in it is larger than {MAX_DOCUMENT} bytes")));
    }
    Ok(bytes)
}

/// Writes the parts of a layout out of a tar, plain or gzip. Their names are made here, never taken over.
fn take_apart(tar: &Path, folder: &Path) -> io::Result<()> {
    let mut file = File::open(tar)?;
    let mut start = [0; 2];
    let is_gzip = file.read_exact(&mut start).is_ok() && start == [0x1f, 0x8b];
    io::Seek::rewind(&mut file)?;
    let source: Box<dyn Read> = match is_gzip {
        true => Box::new(MultiGzDecoder::new(file)),
        false => Box::new(io::BufReader::new(file)),
    };
    let blobs = folder.join("blobs").join("sha256");
    fs::create_dir_all(&blobs)?;
    for entry in tar::Archive::new(source).entries()? {
        let mut entry = entry?;
        let name = entry.path_bytes().into_owned();
        let Some(place) = part(&name, folder, &blobs) else { continue };
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let mut out = File::create(place)?;
        io::copy(&mut entry, &mut out)?;
    }
    Ok(())
}

fn part(name: &[u8], folder: &Path, blobs: &Path) -> Option<PathBuf> {
    let name = std::str::from_utf8(name).ok()?;
    match name.trim_start_matches("./") {
        known @ ("oci-layout" | "index.json") => Some(folder.join(known)),
        other => {
            let digest = Digest::parse(&format!("sha256:{}", other.strip_prefix("blobs/sha256/")?)).ok()?;
            Some(blobs.join(digest.hex()))
        }
    }
}
