//! Which directories must get mode and owner from a lower layer.
//!
//! Layers are unpacked apart from each other, so a directory that a tar only implies is made 0755 and root's,
//! and in the overlay it would hide what a lower layer says of it.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use model::image::{DiffId, DirFix};
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::Cause;
use crate::disk::Folders;
use crate::unpack::FILES;

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
    for diff_id in layers {
        let record = folders.layer_record(diff_id).ok_or_else(|| Cause::LayerNotHere(diff_id.clone()))?;
        let path = folders.layer(diff_id).join(FILES);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let files = fs::open(&path, flags, Mode::empty())
            .map_err(|error| Cause::storage("open", path, error.into()))?;
        // A name that is not UTF-8 cannot be named in a fix, and stays as it is.
        let text = |path: &crate::unpack::report::PathBytes| match path {
            crate::unpack::report::PathBytes::Text(text) => Some(text.clone()),
            crate::unpack::report::PathBytes::Hex { .. } => None,
        };
        let implied = record.implied_dirs.iter().filter_map(text).collect();
        open.push(Layer { files, implied });
    }
    let paths: BTreeSet<&String> = open.iter().flat_map(|layer| &layer.implied).collect();
    let mut fixes = Vec::new();
    for path in paths {
        let fix =
            fix_of(&open, path).map_err(|error| Cause::storage("look through", folders.layers(), error))?;
        fixes.extend(fix);
    }
    Ok(fixes)
}

/// Goes down from the top: the first layer with an entry of its own for the directory decides, and needs no
/// fix when no layer above it implied the directory.
fn fix_of(layers: &[Layer], path: &str) -> io::Result<Option<DirFix>> {
    let mut is_implied = false;
    for layer in layers.iter().rev() {
        match layer.says(path)? {
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
    fn says(&self, path: &str) -> io::Result<Said> {
        let mut here: OwnedFd = open(&self.files, ".")?;
        let mut is_last = is_opaque(&here)?;
        for name in path.split('/') {
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
