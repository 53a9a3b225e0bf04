//! What is looked at of a repository: names in its folders, and small files. Whoever wrote it may be hostile, so a
//! link that leads out is not followed, and nothing is read that is no plain file of a sensible size.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2};
use rustix::io::Errno;

use super::NotMade;

/// No file that decides is larger.
const LARGEST_FILE: u64 = 1024 * 1024;
/// Lock files list everything that is installed.
const LARGEST_LOCK: u64 = 16 * 1024 * 1024;
/// Names of one folder that are looked at.
const MOST_NAMES: usize = 10_000;

/// A folder with the files of a repository.
pub struct Repository {
    folder: OwnedFd,
    names: Vec<String>,
}

impl Repository {
    pub fn open(folder: &Path) -> Result<Self, NotMade> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = open(folder, flags, Mode::empty())
            .map_err(|error| NotMade::file("the folder to build", format!("cannot be opened: {error}")))?;
        let mut repository = Self { folder: opened, names: Vec::new() };
        repository.names = repository.list(".");
        Ok(repository)
    }

    /// Whether the folder itself holds a name.
    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|other| other == name)
    }

    /// Whether there is a plain file below a path of several names.
    pub fn has_file(&self, path: &str) -> bool {
        self.open_below(path).is_ok_and(|file| is(&file, FileType::RegularFile))
    }

    /// Whether there is a folder of this name.
    pub fn has_folder(&self, path: &str) -> bool {
        self.open_below(path).is_ok_and(|file| is(&file, FileType::Directory))
    }

    /// Names in a folder below, sorted; none when it is no folder.
    pub fn list(&self, path: &str) -> Vec<String> {
        let Ok(folder) = self.open_below(path) else { return Vec::new() };
        let Ok(entries) = Dir::read_from(&folder) else { return Vec::new() };
        let entries = entries.take(MOST_NAMES).map_while(Result::ok);
        let names = entries.filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned));
        let mut names: Vec<_> = names.filter(|name| name != "." && name != "..").collect();
        names.sort();
        names
    }

    /// The text of a file; `None` when there is none of this name.
    ///
    /// # Errors
    /// It is no plain file, leads out of the repository, is too large or no text.
    pub fn read(&self, path: &str) -> Result<Option<String>, NotMade> {
        self.read_up_to(path, LARGEST_FILE)
    }

    /// Like [`Repository::read`], for lock files, which are longer than what people write.
    pub fn read_lock(&self, path: &str) -> Result<Option<String>, NotMade> {
        self.read_up_to(path, LARGEST_LOCK)
    }

    fn read_up_to(&self, path: &str, largest: u64) -> Result<Option<String>, NotMade> {
        let opened = match self.open_below(path) {
            Ok(opened) => opened,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(Errno::XDEV) => {
                return Err(NotMade::file(path, "is a link that leads out of the repository"));
            }
            Err(Errno::LOOP) => return Err(NotMade::file(path, "is a link that leads nowhere")),
            Err(error) => return Err(NotMade::file(path, format!("cannot be opened: {error}"))),
        };
        if !is(&opened, FileType::RegularFile) {
            return Err(NotMade::file(path, "is no plain file"));
        }
        let mut bytes = Vec::new();
        let read = File::from(opened).take(largest + 1).read_to_end(&mut bytes);
        read.map_err(|error| NotMade::file(path, format!("cannot be read: {error}")))?;
        if bytes.len() as u64 > largest {
            return Err(NotMade::file(path, format!("is larger than {} MiB", largest / 1024 / 1024)));
        }
        let text = String::from_utf8(bytes).map_err(|_| NotMade::file(path, "is no UTF-8 text"))?;
        Ok(Some(text.trim_start_matches('\u{feff}').to_owned()))
    }

    /// Without waiting for the writer of a pipe.
    fn open_below(&self, path: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        openat2(&self.folder, path, flags, Mode::empty(), resolve)
    }
}

fn is(file: &OwnedFd, kind: FileType) -> bool {
    fstat(file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == kind)
}
