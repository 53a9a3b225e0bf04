//! An OCI layout: `oci-layout`, `index.json` and `blobs/sha256/…`. A tar is first taken apart into a scratch
//! folder; of its entries only those three kinds are looked at.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use model::image::Digest;
use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
use serde::Deserialize;

use crate::Cause;
use crate::disk::{Folders, Scratch};
use crate::manifest::Descriptor;

/// Largest document that is read, in bytes.
const MAX_DOCUMENT: u64 = 4 << 20;

/// A layout that can be read from.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Where it was found, for words.
    path: PathBuf,
    folder: OwnedFd,
    links: Links,
    /// Index or manifest of the one image in it.
    pub digest: Digest,
    /// Holds the folder that a tar was taken apart into.
    _scratch: Option<Scratch>,
}

/// What symbolic links in a layout are good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    /// The administrator named the layout; some programs make them of links.
    Followed,
    /// Somebody made the layout who may not see what a link leads to.
    Refused,
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
        let layout = Self::read_top(path, &folder, tag, Links::Followed)?;
        Ok(Self { _scratch: scratch, ..layout })
    }

    /// Opens a folder that holds a layout with one image and was written by somebody who is not trusted.
    pub fn open_foreign(path: &Path) -> Result<Self, Cause> {
        Self::read_top(path, path, None, Links::Refused)
    }

    fn read_top(path: &Path, folder: &Path, tag: Option<&str>, links: Links) -> Result<Self, Cause> {
        let wrong = |reason: String| Cause::NotALayout { path: path.to_owned(), reason };
        let of_links = if links == Links::Refused { OFlags::NOFOLLOW } else { OFlags::empty() };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | of_links;
        let opened = open(folder, flags, Mode::empty());
        let opened = opened.map_err(|error| wrong(io::Error::from(error).to_string()))?;
        if open_file(&opened, "oci-layout", links).is_err() {
            return Err(wrong("it holds no file oci-layout".to_owned()));
        }
        let top = open_file(&opened, "index.json", links).and_then(read_bounded);
        let top = top.map_err(|error| wrong(format!("its index.json: {error}")))?;
        let top: Top =
            serde_json::from_slice(&top).map_err(|error| wrong(format!("its index.json: {error}")))?;
        let digest = choose(&top.manifests, tag).map_err(|reason| wrong(reason.to_owned()))?;
        Ok(Self { path: path.to_owned(), folder: opened, links, digest, _scratch: None })
    }

    /// A document of the layout, unverified.
    pub fn read(&self, digest: &Digest) -> io::Result<Vec<u8>> {
        read_bounded(self.open_blob(digest)?)
    }

    /// A blob of the layout, unverified.
    pub fn open_blob(&self, digest: &Digest) -> io::Result<File> {
        open_file(&self.folder, &format!("blobs/sha256/{}", digest.hex()), self.links)
    }

    /// Why a blob that is there cannot be used.
    pub fn unusable(&self, digest: &Digest, why: &io::Error) -> Cause {
        Cause::NotALayout { path: self.path.clone(), reason: format!("its blob {digest}: {why}") }
    }
}

/// Opens a file of a layout: a regular one, and nothing that would keep the reader waiting.
fn open_file(folder: &OwnedFd, name: &str, links: Links) -> io::Result<File> {
    let resolve = match links {
        Links::Followed => ResolveFlags::empty(),
        Links::Refused => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV,
    };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(openat2(folder, name, flags, Mode::empty(), resolve)?);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no regular file")),
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

fn read_bounded(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes)?;
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
