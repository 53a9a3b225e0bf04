//! Which directories must get mode and owner from a lower layer.
//!
//! Layers are unpacked apart from each other, so a directory that a tar only implies is made 0755 and root's,
//! and in the overlay it would hide what a lower layer says of it. What an image can ask for here is limited,
//! because it is gone through whenever a container is made.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use model::image::{DiffId, DirFix};
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::Cause;
use crate::disk::Folders;
use crate::unpack::FILES;
use crate::unpack::report::PathBytes;

/// Implied directories of an image, in all its layers together.
const MAX_IMPLIED: usize = 100_000;
/// Bytes of their names.
const MAX_NAMES: usize = 16 << 20;
/// Names looked up for them in all layers, which takes some 20 seconds at most.
const MAX_LOOKS: usize = 5_000_000;

/// A layer as far as it matters here.
struct Layer {
    files: OwnedFd,
    implied: HashSet<String>,
}

/// What one layer says of a directory.
enum Said {
    /// Mode and owner, from an entry of its own.
    Explicit { mode: u32, uid: u32, gid: u32 },
    /// It is there, but only implied; `is_last` when nothing below shows through.
    Implied { is_last: bool },
    /// Not there; `is_last` when a directory above it hides everything below.
    Nothing { is_last: bool },
    /// Something else has its place.
    Hidden,
}

/// The directories to set right for these layers (bottom first), in order of path.
pub(crate) fn dir_fixes(folders: &Folders, layers: &[DiffId]) -> Result<Vec<DirFix>, Cause> {
    let mut open = Vec::new();
    let (mut implied_dirs, mut names) = (0, 0);
    for diff_id in distinct(layers) {
        let record = folders.layer_record(diff_id).ok_or_else(|| Cause::LayerNotHere(diff_id.clone()))?;
        let path = folders.layer(diff_id).join(FILES);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let files = fs::open(&path, flags, Mode::empty())
            .map_err(|error| Cause::storage("open", path, error.into()))?;
        implied_dirs += record.implied_dirs.len();
        names += record.implied_dirs.iter().map(PathBytes::len).sum::<usize>();
        if implied_dirs > MAX_IMPLIED || names > MAX_NAMES {
            return Err(too_many());
        }
        // A name that is not UTF-8 cannot be named in a fix, and stays as it is.
        let text = |path| match path {
            PathBytes::Text(text) => Some(text),
            PathBytes::Hex { .. } => None,
        };
        let implied = record.implied_dirs.into_iter().filter_map(text).collect();
        open.push(Layer { files, implied });
    }
    let paths: BTreeSet<&String> = open.iter().flat_map(|layer| &layer.implied).collect();
    let mut fixes = Vec::new();
    let mut looks = 0;
    for path in paths {
        let fix = fix_of(&open, path, &mut looks)
            .map_err(|error| Cause::storage("look through", folders.layers(), error))?;
        fixes.extend(fix);
        if looks > MAX_LOOKS {
            return Err(too_many());
        }
    }
    Ok(fixes)
}

/// A layer that comes again further down says nothing new: only the topmost of each counts.
fn distinct(layers: &[DiffId]) -> Vec<&DiffId> {
    let mut known = HashSet::new();
    let mut distinct: Vec<&DiffId> = layers.iter().rev().filter(|layer| known.insert(*layer)).collect();
    distinct.reverse();
    distinct
}

/// No layer of them alone is at fault.
fn too_many() -> Cause {
    Cause::ManifestInvalid(format!(
        "its layers have too many directories without an entry of their own; the limit is {MAX_IMPLIED}"
    ))
}

/// Goes down from the top: the first layer with an entry of its own for the directory decides, and needs no
/// fix when no layer above it implied the directory.
fn fix_of(layers: &[Layer], path: &str, looks: &mut usize) -> io::Result<Option<DirFix>> {
    let mut is_implied = false;
    for layer in layers.iter().rev() {
        match layer.says(path, looks)? {
            Said::Explicit { mode, uid, gid } if is_implied => {
                let is_default = (mode, uid, gid) == (0o755, 0, 0);
                return Ok((!is_default).then(|| DirFix { path: path.to_owned(), mode, uid, gid }));
            }
            Said::Explicit { .. } | Said::Hidden => return Ok(None),
            Said::Implied { is_last } => {
                is_implied = true;
                if is_last {
                    return Ok(None);
                }
            }
            Said::Nothing { is_last: true } => return Ok(None),
            Said::Nothing { is_last: false } => {}
        }
    }
    Ok(None)
}

impl Layer {
    /// Walks the path without following any link: a link in a layer hides what is below.
    fn says(&self, path: &str, looks: &mut usize) -> io::Result<Said> {
        let mut here: OwnedFd = open(&self.files, ".")?;
        let mut is_last = is_opaque(&here)?;
        for name in path.split('/') {
            *looks += 1;
            let stat = match fs::statat(&here, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => return Ok(Said::Nothing { is_last }),
                Err(error) => return Err(error.into()),
            };
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                return Ok(Said::Hidden);
            }
            here = open(&here, name)?;
            is_last |= is_opaque(&here)?;
        }
        if self.implied.contains(path) {
            return Ok(Said::Implied { is_last });
        }
        let stat = fs::fstat(&here)?;
        Ok(Said::Explicit { mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid })
    }
}

fn open(parent: impl AsFd, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(fs::openat(parent, name, flags, Mode::empty())?)
}

fn is_opaque(folder: &OwnedFd) -> io::Result<bool> {
    let mut value = [0_u8; 4];
    match fs::fgetxattr(folder, "trusted.overlay.opaque", &mut value[..]) {
        Ok(length) => Ok(value.get(..length) == Some(b"y")),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use model::image::Digest;

    use super::*;
    use crate::disk::LayerRecord;

    /// A layer in place without files, which only says what it implies.
    fn layer(folders: &Folders, number: u8, implied: usize) -> DiffId {
        let diff_id = DiffId::new(Digest::from_sha256([number; 32]));
        let place = folders.layer(&diff_id);
        std::fs::create_dir_all(place.join(FILES)).unwrap();
        let implied_dirs = (0..implied).map(|n| PathBytes::Text(format!("{number}-{n}"))).collect();
        let record = LayerRecord { diff_id: diff_id.clone(), bytes: 0, entries: 0, implied_dirs };
        record.write(&place).unwrap();
        diff_id
    }

    #[test]
    fn a_layer_that_comes_again_costs_nothing_more() {
        let root = tempfile::tempdir().unwrap();
        let folders = Folders::open(root.path()).unwrap();
        let (a, b) = (layer(&folders, 1, 60_000), layer(&folders, 2, 10));
        assert_eq!(
            dir_fixes(&folders, &[vec![a.clone(), b.clone()], vec![a.clone(); 498]].concat()).unwrap(),
            []
        );
        assert_eq!(distinct(&[a.clone(), b.clone(), a.clone()]), [&b, &a]);
    }

    #[test]
    fn an_image_implies_only_so_many_directories() {
        let root = tempfile::tempdir().unwrap();
        let folders = Folders::open(root.path()).unwrap();
        let layers = [layer(&folders, 1, 60_000), layer(&folders, 2, 60_000)];
        let error = dir_fixes(&folders, &layers).unwrap_err();
        assert!(error.to_string().contains("the limit is 100000"), "{error}");
    }
}
