//! The layer's folder, reached by handles only.
//!
//! Every look-up starts at the handle of the root and goes through `openat2` with `RESOLVE_IN_ROOT`: a
//! symbolic link, absolute or full of `..`, is resolved as if the root were `/`. The last component of an entry
//! is never followed. Nothing else writes here, so what was looked up stays what it is.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::{self, Errno};

use super::report::Refusal;

/// Symbolic links followed on one way, as in the kernel.
const MAX_LINKS: usize = 40;
/// Real depth of a directory, links resolved. Each level holds a handle while a way is made.
const MAX_DEPTH: usize = 512;
/// Bytes of paths that are remembered until the end.
const MAX_REMEMBERED: usize = 64 << 20;

const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// The files of a layer while they are written.
pub(crate) struct Tree {
    root: OwnedFd,
    /// Directories that a later entry replaced; whoever started the process removes them.
    trash: OwnedFd,
    trashed: u64,
    /// Directories made on the way: inode to path.
    implied: HashMap<u64, Vec<u8>>,
    opaque: BTreeSet<Vec<u8>>,
    /// Whiteouts of names that the layer itself holds as something else than a directory.
    covered: HashSet<Vec<u8>>,
    remembered: usize,
    /// Directories made on the way, ever.
    pub made: u64,
}

impl Tree {
    pub fn new(root: OwnedFd, trash: OwnedFd) -> Self {
        Self {
            root,
            trash,
            trashed: 0,
            implied: HashMap::new(),
            opaque: BTreeSet::new(),
            covered: HashSet::new(),
            remembered: 0,
            made: 0,
        }
    }

    /// The directory at a path, made with all above it when missing.
    pub fn directory(&mut self, components: &[Vec<u8>]) -> Result<OwnedFd, Refusal> {
        match self.find(components, OFlags::DIRECTORY) {
            Ok(found) => Ok(found),
            Err(Errno::NOENT | Errno::NOTDIR) => self.make_way(components),
            Err(Errno::LOOP) => {
                Err(Refusal::entry(&components.join(&b'/'), "too many symbolic links on the way"))
            }
            Err(error) => Err(Refusal::io("open", &components.join(&b'/'), error)),
        }
    }

    /// Opens what is at a path, links on the way resolved in the root.
    pub fn find(&self, components: &[Vec<u8>], flags: OFlags) -> io::Result<OwnedFd> {
        let path = if components.is_empty() { b".".to_vec() } else { components.join(&b'/') };
        open_in_root(self.root.as_fd(), &path, LOOK | flags)
    }

    /// Walks component by component, following links by hand, and makes what is missing. A way through a
    /// whiteout makes a directory that hides the one below.
    fn make_way(&mut self, components: &[Vec<u8>]) -> Result<OwnedFd, Refusal> {
        let whole = components.join(&b'/');
        let mut todo: Vec<Vec<u8>> = components.iter().rev().cloned().collect();
        let mut way: Vec<(Vec<u8>, OwnedFd)> = Vec::new();
        let mut links = 0;
        while let Some(next) = todo.pop() {
            match &*next {
                b"" | b"." => continue,
                b".." => {
                    way.pop();
                    continue;
                }
                _ => {}
            }
            let here = way.last().map_or(self.root.as_fd(), |(_, fd)| fd.as_fd());
            let found = match open_one(here, &next) {
                Ok(found) => Some(found),
                Err(Errno::NOENT) => None,
                Err(error) => return Err(Refusal::io("open", &whole, error)),
            };
            let stat = found
                .as_ref()
                .map(fs::fstat)
                .transpose()
                .map_err(|error| Refusal::io("look at", &whole, error))?;
            let kind = stat.as_ref().map(|stat| FileType::from_raw_mode(stat.st_mode));
            let path =
                || way.iter().map(|(name, _)| name).chain([&next]).cloned().collect::<Vec<_>>().join(&b'/');
            match (kind, found) {
                (Some(FileType::Directory), Some(found)) => way.push((next, found)),
                (Some(FileType::Symlink), Some(found)) => {
                    links += 1;
                    let target = fs::readlinkat(&found, "", Vec::new())
                        .map_err(|error| Refusal::io("read the link", &whole, error))?;
                    if links > MAX_LINKS {
                        return Err(Refusal::entry(&whole, "too many symbolic links on the way"));
                    }
                    if target.to_bytes().starts_with(b"/") {
                        way.clear();
                    }
                    todo.extend(target.to_bytes().split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec));
                }
                (Some(FileType::CharacterDevice), _) => {
                    let path = path();
                    fs::unlinkat(here, &*next, AtFlags::empty())
                        .map_err(|error| Refusal::io("replace", &path, error))?;
                    let made = make_one(here, &next, &path)?;
                    self.set_opaque(path.clone())?;
                    self.note_implied(&made, path)?;
                    way.push((next, made));
                }
                (Some(_), _) => return Err(Refusal::entry(&path(), "a file where a directory is needed")),
                (None, _) => {
                    let path = path();
                    let made = make_one(here, &next, &path)?;
                    if self.covered.contains(&path) {
                        self.set_opaque(path.clone())?;
                    }
                    self.note_implied(&made, path)?;
                    way.push((next, made));
                }
            }
            if way.len() > MAX_DEPTH || todo.len() > 8 * MAX_DEPTH {
                return Err(Refusal::entry(&whole, "a directory too deep"));
            }
        }
        match way.pop() {
            Some((_, fd)) => Ok(fd),
            None => self.find(&[], OFlags::DIRECTORY).map_err(|error| Refusal::io("open", &whole, error)),
        }
    }

    /// Makes the directory `name`, or keeps the one that is there. It is opened for setting its attributes.
    pub fn make_directory(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
    ) -> Result<OwnedFd, Refusal> {
        let before = self.look(parent, name, path)?;
        let is_directory = before.as_ref().is_some_and(|stat| type_of(stat) == FileType::Directory);
        if !is_directory {
            if before.as_ref().is_some_and(is_whiteout) || self.covered.contains(path) {
                self.set_opaque(path.to_vec())?;
            }
            if before.is_some() {
                fs::unlinkat(parent, name, AtFlags::empty())
                    .map_err(|error| Refusal::io("replace", path, error))?;
            }
            fs::mkdirat(parent, name, Mode::RWXU)
                .map_err(|error| Refusal::io("make the directory", path, error))?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = fs::openat(parent, name, flags, Mode::empty())
            .map_err(|error| Refusal::io("open", path, error))?;
        let stat = fs::fstat(&made).map_err(|error| Refusal::io("look at", path, error))?;
        self.implied.remove(&stat.st_ino);
        Ok(made)
    }

    /// Takes away what is called `name`, so that something else than a directory can take the place.
    pub fn clear(&mut self, parent: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<(), Refusal> {
        let done = match self.look(parent, name, path)? {
            None => Ok(()),
            Some(stat) if type_of(&stat) == FileType::Directory => {
                self.trashed += 1;
                fs::renameat(parent, name, &self.trash, self.trashed.to_string())
            }
            Some(_) => fs::unlinkat(parent, name, AtFlags::empty()),
        };
        done.map_err(|error| Refusal::io("replace", path, error))
    }

    /// Hides what the layers below have as `name`: a character device 0:0 (kernel, overlayfs.rst, "whiteouts
    /// and opaque directories"), made whether or not there is anything below. What this layer itself holds
    /// stays, in whichever order the two come.
    pub fn white_out(&mut self, parent: BorrowedFd<'_>, name: &[u8], path: Vec<u8>) -> Result<(), Refusal> {
        match self.look(parent, name, &path)? {
            None => fs::mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0)
                .map_err(|error| Refusal::io("make the whiteout", &path, error)),
            Some(stat) if is_whiteout(&stat) => Ok(()),
            Some(stat) if type_of(&stat) == FileType::Directory => self.set_opaque(path),
            Some(_) => {
                self.remember(path.len())?;
                self.covered.insert(path);
                Ok(())
            }
        }
    }

    /// Hides everything that the layers below have in a directory.
    pub fn set_opaque(&mut self, path: Vec<u8>) -> Result<(), Refusal> {
        self.remember(path.len())?;
        self.opaque.insert(path);
        Ok(())
    }

    /// What is called `name`, a link itself and not its target.
    pub fn look(&self, parent: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<Option<Stat>, Refusal> {
        match fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(Refusal::io("look at", path, error)),
        }
    }

    /// Makes room for a path of this length among those remembered until the end.
    pub fn remember(&mut self, length: usize) -> Result<(), Refusal> {
        // What a path costs beside its bytes, roughly.
        self.remembered += length + 100;
        if self.remembered > MAX_REMEMBERED {
            return Err(Refusal::invalid(
                "too many directories and whiteouts, the limit is 64 MiB of their names",
            ));
        }
        Ok(())
    }

    fn note_implied(&mut self, made: &OwnedFd, path: Vec<u8>) -> Result<(), Refusal> {
        self.made += 1;
        self.remember(path.len())?;
        let stat = fs::fstat(made).map_err(|error| Refusal::io("look at", &path, error))?;
        self.implied.insert(stat.st_ino, path);
        Ok(())
    }

    /// Directories made on the way that are still where they were made, and directories that hide what is
    /// below, both in order.
    pub fn finish(self) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let is_there = |inode: u64, path: &[u8]| {
            open_in_root(self.root.as_fd(), path, LOOK | OFlags::DIRECTORY | OFlags::NOFOLLOW)
                .and_then(fs::fstat)
                .is_ok_and(|stat| stat.st_ino == inode)
        };
        let mut implied: Vec<Vec<u8>> = self
            .implied
            .iter()
            .filter(|(inode, path)| is_there(**inode, path))
            .map(|(_, path)| path.clone())
            .collect();
        implied.sort();
        (implied, self.opaque.into_iter().collect())
    }
}

/// Whether it is one of our whiteouts. Devices of the layer itself are never made, so no other device is here.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    type_of(stat) == FileType::CharacterDevice
}

pub(crate) fn type_of(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

fn make_one(parent: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<OwnedFd, Refusal> {
    let mode = Mode::RWXU | Mode::RGRP | Mode::XGRP | Mode::ROTH | Mode::XOTH;
    fs::mkdirat(parent, name, mode).map_err(|error| Refusal::io("make the directory", path, error))?;
    open_one(parent, name).map_err(|error| Refusal::io("open", path, error))
}

/// Opens one component without following it.
fn open_one(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    fs::openat(parent, name, LOOK | OFlags::NOFOLLOW, Mode::empty())
}

/// Opens a path as if `root` were `/`. The kernel asks for another try when something on the machine was
/// renamed or mounted while it looked at a `..`.
pub(crate) fn open_in_root(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let mut tries = 0;
    loop {
        match fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN) if tries < 1000 => tries += 1,
            other => return other,
        }
    }
}
