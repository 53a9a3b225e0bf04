//! Entries to files.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, Timestamps};
use rustix::io::Errno;

use super::archive::{Archive, Entry, Kind};
use super::attributes::{mode, set_attributes, set_owner_and_time, times};
use super::path::{EntryPath, Meaning};
use super::report::Refusal;
use super::room::Room;
use super::tree::{Tree, is_whiteout, type_of};

/// Hard links to names that come later.
const MAX_WAITING_LINKS: usize = 100_000;
/// How often waiting links are gone through; each time at least one more must find its target.
const MAX_ROUNDS: usize = 64;

/// Writes a layer's entries beneath a root.
pub(crate) struct Extractor {
    tree: Tree,
    room: Room,
    max_entries: u64,
    entries: u64,
    waiting: Vec<WaitingLink>,
    /// Times of directories are set last, because every file in them changes them.
    directory_times: Vec<(EntryPath, Timestamps)>,
    buffer: Vec<u8>,
    half_a_file: failpoint::Point,
}

/// What was written, beside the files themselves.
pub(crate) struct Written {
    pub entries: u64,
    /// Directories made on the way to an entry.
    pub implied: Vec<Vec<u8>>,
    /// Directories that hide what the layers below have in them.
    pub opaque: Vec<Vec<u8>>,
}

struct WaitingLink {
    path: EntryPath,
    target: EntryPath,
}

/// What came of a hard link.
enum Linked {
    Yes,
    TargetMissing,
}

impl Extractor {
    pub fn new(
        root: OwnedFd,
        trash: OwnedFd,
        room: Room,
        max_entries: u64,
        half_a_file: failpoint::Point,
    ) -> Self {
        Self {
            tree: Tree::new(root, trash),
            room,
            max_entries,
            entries: 0,
            waiting: Vec::new(),
            directory_times: Vec::new(),
            buffer: vec![0; 128 * 1024],
            half_a_file,
        }
    }

    /// Writes every entry of an archive.
    pub fn extract<R: Read>(mut self, archive: &mut Archive<R>) -> Result<Written, Refusal> {
        self.write_all(archive).map_err(|refusal| self.room.explain(refusal))?;
        self.set_directory_times();
        let (implied, opaque) = self.tree.finish();
        Ok(Written { entries: self.entries, implied, opaque })
    }

    fn write_all<R: Read>(&mut self, archive: &mut Archive<R>) -> Result<(), Refusal> {
        while let Some(entry) = archive.next()? {
            self.entries += 1;
            self.room.take_entry()?;
            self.place(&entry, archive)?;
            if self.entries + self.tree.made > self.max_entries {
                return Err(Refusal::invalid(format!(
                    "it holds more than {} files, the limit",
                    self.max_entries
                )));
            }
        }
        self.make_waiting_links()
    }

    fn place<R: Read>(&mut self, entry: &Entry, archive: &mut Archive<R>) -> Result<(), Refusal> {
        let path = EntryPath::parse(&entry.name)?;
        match path.meaning()? {
            Meaning::Ignored => Ok(()),
            Meaning::Root if entry.kind == Kind::Directory => {
                let root = self.tree.find(&[], OFlags::DIRECTORY).and_then(reopen);
                let root = root.map_err(|error| Refusal::io("open", b"/", error))?;
                self.finish_directory(&root, path.clone(), entry)
            }
            Meaning::Root => Err(Refusal::entry(&entry.name, "only a directory can be the root")),
            Meaning::Opaque => {
                check_marker(entry)?;
                self.tree.directory(path.parents())?;
                self.tree.set_opaque(path.parents().join(&b'/'))
            }
            Meaning::Whiteout(name) => {
                check_marker(entry)?;
                let parent = self.tree.directory(path.parents())?;
                let hidden = [path.parents(), &[name.to_vec()]].concat().join(&b'/');
                self.tree.white_out(parent.as_fd(), name, hidden)
            }
            Meaning::Entry(name) => self.place_named(&path, name, entry, archive),
        }
    }

    fn place_named<R: Read>(
        &mut self,
        path: &EntryPath,
        name: &[u8],
        entry: &Entry,
        archive: &mut Archive<R>,
    ) -> Result<(), Refusal> {
        if entry.kind == Kind::Device {
            // A container gets its devices from the runtime. Not made, it cannot pass for a whiteout either.
            return Ok(());
        }
        let parent = self.tree.directory(path.parents())?;
        let parent = parent.as_fd();
        let bytes = path.to_bytes();
        match entry.kind {
            Kind::Directory => {
                let made = self.tree.make_directory(parent, name, &bytes)?;
                self.finish_directory(&made, path.clone(), entry)
            }
            Kind::File => {
                self.tree.clear(parent, name, &bytes)?;
                self.write_file(parent, name, entry, archive)
            }
            Kind::Symlink => {
                self.tree.clear(parent, name, &bytes)?;
                make_symlink(parent, name, entry)
            }
            Kind::Fifo => {
                self.tree.clear(parent, name, &bytes)?;
                fs::mknodat(parent, name, FileType::Fifo, mode(entry), 0)
                    .map_err(|error| Refusal::io("make the pipe", &entry.name, error))?;
                set_owner_and_time(parent, name, entry)
            }
            Kind::HardLink => self.link_or_wait(parent, path, entry),
            Kind::Device => Ok(()),
        }
    }

    fn write_file<R: Read>(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        entry: &Entry,
        archive: &mut Archive<R>,
    ) -> Result<(), Refusal> {
        let failed = |doing| move |error| Refusal::io(doing, &entry.name, error);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file =
            fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR).map_err(failed("make the file"))?;
        loop {
            let count = archive.read_data(&mut self.buffer)?;
            if count == 0 {
                break;
            }
            self.room.take(count as u64)?;
            let mut rest = &self.buffer[..count];
            while !rest.is_empty() {
                let written = rustix::io::write(&file, rest).map_err(failed("write"))?;
                rest = &rest[written..];
            }
            if archive.remaining() > 0 {
                self.half_a_file.reach();
            }
        }
        set_attributes(&file, entry)?;
        fs::futimens(&file, &times(entry)).map_err(failed("set the time"))
    }

    fn finish_directory(&mut self, made: &OwnedFd, path: EntryPath, entry: &Entry) -> Result<(), Refusal> {
        set_attributes(made, entry)?;
        self.tree.remember(path.to_bytes().len())?;
        self.directory_times.push((path, times(entry)));
        Ok(())
    }

    /// Links at once when the target is here, and otherwise when all files are: in some layers the link comes
    /// first.
    fn link_or_wait(
        &mut self,
        parent: BorrowedFd<'_>,
        path: &EntryPath,
        entry: &Entry,
    ) -> Result<(), Refusal> {
        let link = WaitingLink { path: path.clone(), target: EntryPath::parse(&entry.link)? };
        match self.link(parent, &link)? {
            Linked::Yes => Ok(()),
            Linked::TargetMissing if self.waiting.len() >= MAX_WAITING_LINKS => {
                Err(Refusal::entry(&entry.name, "too many hard links to files that come later"))
            }
            Linked::TargetMissing => {
                let bytes = path.to_bytes();
                self.tree.clear(parent, path.last().unwrap_or_default(), &bytes)?;
                self.tree.remember(bytes.len() + entry.link.len())?;
                self.waiting.push(link);
                Ok(())
            }
        }
    }

    fn link(&mut self, parent: BorrowedFd<'_>, link: &WaitingLink) -> Result<Linked, Refusal> {
        let path = link.path.to_bytes();
        let failed = |error| Refusal::io("make the hard link", &path, error);
        let (Some(name), Some(target_name)) = (link.path.last(), link.target.last()) else {
            return Err(Refusal::entry(&path, "a hard link to the root"));
        };
        let target_parent = match self.tree.find(link.target.parents(), OFlags::DIRECTORY) {
            Ok(found) => found,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Linked::TargetMissing),
            Err(error) => return Err(failed(error)),
        };
        let Some(target) = self.tree.look(target_parent.as_fd(), target_name, &path)? else {
            return Ok(Linked::TargetMissing);
        };
        if is_whiteout(&target) {
            return Ok(Linked::TargetMissing);
        }
        if type_of(&target) == FileType::Directory {
            return Err(Refusal::entry(&path, "a hard link to a directory"));
        }
        let inode = |fd: BorrowedFd<'_>| fs::fstat(fd).map(|stat| stat.st_ino).map_err(failed);
        if name == target_name && inode(parent)? == inode(target_parent.as_fd())? {
            return Err(Refusal::entry(&path, "a hard link to itself"));
        }
        self.tree.clear(parent, name, &path)?;
        match fs::linkat(&target_parent, target_name, parent, name, AtFlags::empty()) {
            Ok(()) => Ok(Linked::Yes),
            // The target was in the directory whose place the link takes.
            Err(Errno::NOENT) => {
                Err(Refusal::entry(&path, "a hard link to a file in the directory it replaces"))
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn make_waiting_links(&mut self) -> Result<(), Refusal> {
        for _ in 0..MAX_ROUNDS {
            let waiting = std::mem::take(&mut self.waiting);
            let before = waiting.len();
            for link in waiting {
                let parent = self.tree.directory(link.path.parents())?;
                let name = link.path.last().unwrap_or_default();
                let is_taken = self.tree.look(parent.as_fd(), name, &link.path.to_bytes())?.is_some();
                // A later entry of the same name has won.
                if !is_taken && matches!(self.link(parent.as_fd(), &link)?, Linked::TargetMissing) {
                    self.waiting.push(link);
                }
            }
            if self.waiting.len() == before {
                break;
            }
        }
        match self.waiting.first() {
            None => Ok(()),
            Some(link) => Err(Refusal::entry(
                &link.path.to_bytes(),
                format_args!(
                    "a hard link to {}, which is not in this layer",
                    super::report::printable(&link.target.to_bytes())
                ),
            )),
        }
    }

    /// A directory that was replaced meanwhile, or whose time cannot be set, keeps the one it has.
    fn set_directory_times(&self) {
        for (path, times) in &self.directory_times {
            let Some((last, parents)) = path.last().zip(Some(path.parents())) else {
                continue;
            };
            let parent = self.tree.find(parents, OFlags::DIRECTORY);
            let _ = parent.and_then(|parent| fs::utimensat(&parent, last, times, AtFlags::SYMLINK_NOFOLLOW));
        }
    }
}

/// A whiteout is an empty file; links to one come from old storage drivers.
fn check_marker(entry: &Entry) -> Result<(), Refusal> {
    match entry.kind {
        Kind::File | Kind::HardLink => Ok(()),
        _ => Err(Refusal::entry(&entry.name, "a whiteout that is no file")),
    }
}

fn make_symlink(parent: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> Result<(), Refusal> {
    if entry.link.is_empty() || entry.link.len() > 4095 {
        return Err(Refusal::entry(&entry.name, "a symbolic link whose target is empty or too long"));
    }
    fs::symlinkat(&*entry.link, parent, name)
        .map_err(|error| Refusal::io("make the symbolic link", &entry.name, error))?;
    set_owner_and_time(parent, name, entry)
}

/// A handle for looking up, made one for setting attributes.
fn reopen(found: OwnedFd) -> rustix::io::Result<OwnedFd> {
    fs::openat(&found, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}
