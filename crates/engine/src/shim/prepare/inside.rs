//! Files of an image, reached so that nothing outside its root can be: every path is resolved by the kernel
//! with the image's root as `/` (openat2(2), `RESOLVE_IN_ROOT`).

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;

use crate::{EngineError, Refusal};

/// Largest file that is read from an image, in bytes.
const FILE_MAX: u64 = 10 << 20;

/// The root of an image's file system.
pub(super) struct Root(OwnedFd);

impl Root {
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Opens a path as a process in the container would see it, but never across a mount.
    pub fn open_in(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        self.open_with(path, flags, ResolveFlags::empty())
    }

    fn open_with(&self, path: &Path, flags: OFlags, more: ResolveFlags) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV | more;
        let path = if path.as_os_str().is_empty() { Path::new("/") } else { path };
        rustix::fs::openat2(&self.0, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
    }

    /// Opens a regular file for reading; anything else that stands there is refused without being waited on.
    pub fn open_file(&self, path: &Path) -> Result<Option<File>, EngineError> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match self.open_in(path, flags) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(unfit(path, &io::Error::from(error).to_string())),
        };
        let status = rustix::fs::fstat(&file).map_err(|error| EngineError::host("reading a file", error))?;
        match FileType::from_raw_mode(status.st_mode) {
            FileType::RegularFile => Ok(Some(File::from(file))),
            FileType::Directory => Err(unfit(path, "it is a folder")),
            _ => Err(unfit(path, "it is no regular file")),
        }
    }

    /// Reads a whole file of bounded size; `None` when there is none.
    pub fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, EngineError> {
        let Some(file) = self.open_file(path)? else { return Ok(None) };
        let mut content = Vec::new();
        file.take(FILE_MAX + 1).read_to_end(&mut content).map_err(|e| unfit(path, &e.to_string()))?;
        match content.len() as u64 > FILE_MAX {
            true => Err(unfit(path, "it is larger than 10 MiB")),
            false => Ok(Some(content)),
        }
    }

    /// Makes a folder and its parents; existing ones are left alone. Returns where it really is, `/` being
    /// the root.
    pub fn make_folder(&self, path: &Path) -> Result<PathBuf, EngineError> {
        let mut walked = PathBuf::from("/");
        let mut folder = self.folder(&walked).map_err(|e| unfit(&walked, &e.to_string()))?;
        for component in path.components() {
            let Component::Normal(name) = component else { continue };
            walked.push(name);
            folder = match self.folder(&walked) {
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                    let made = rustix::fs::mkdirat(&folder, name, Mode::from_raw_mode(0o755));
                    made.map_err(|e| unfit(&walked, &io::Error::from(e).to_string()))?;
                    self.folder(&walked)
                }
                found => found,
            }
            .map_err(|error| unfit(&walked, &error.to_string()))?;
        }
        self.place_of(&folder)
    }

    fn folder(&self, path: &Path) -> io::Result<OwnedFd> {
        Ok(self.open_in(path, OFlags::PATH | OFlags::DIRECTORY)?)
    }

    fn place_of(&self, folder: &OwnedFd) -> Result<PathBuf, EngineError> {
        let name = |fd: &OwnedFd| {
            use std::os::fd::AsRawFd;
            std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))
                .map_err(|error| EngineError::host("finding a folder of the image", error))
        };
        let (root, folder) = (name(&self.0)?, name(folder)?);
        let inside =
            folder.strip_prefix(&root).map_err(|e| EngineError::host("finding a folder of the image", e))?;
        Ok(Path::new("/").join(inside))
    }

    /// Puts an empty regular file where something will be mounted over it, in place of a symbolic link or of
    /// nothing: the runtime must have nothing to follow.
    pub fn make_mount_point(&self, folder: &str, name: &str) -> Result<(), EngineError> {
        let path = Path::new(folder).join(name);
        let fail = |error: Errno| unfit(&path, &io::Error::from(error).to_string());
        self.make_folder(Path::new(folder))?;
        let folder = self.open_in(Path::new(folder), OFlags::RDONLY | OFlags::DIRECTORY).map_err(fail)?;
        match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(status) => match FileType::from_raw_mode(status.st_mode) {
                FileType::RegularFile => return Ok(()),
                FileType::Directory => return Err(unfit(&path, "it is a folder")),
                _ => rustix::fs::unlinkat(&folder, name, AtFlags::empty()).map_err(fail)?,
            },
            Err(Errno::NOENT) => {}
            Err(error) => return Err(fail(error)),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&folder, name, flags, Mode::from_raw_mode(0o644)).map_err(fail)?;
        Ok(())
    }

    /// Refuses a link or a file where the kernel's own file systems come.
    pub fn check_kernel_folder(&self, name: &str) -> Result<(), EngineError> {
        match rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(status) if FileType::from_raw_mode(status.st_mode) == FileType::Directory => Ok(()),
            Err(Errno::NOENT) => Ok(()),
            Ok(_) => Err(unfit(&Path::new("/").join(name), "it is not a folder")),
            Err(error) => Err(unfit(&Path::new("/").join(name), &io::Error::from(error).to_string())),
        }
    }

    /// Sets mode and owner of a folder; a folder that an upper layer took away or replaced is passed over.
    pub fn fix_folder(&self, path: &Path, mode: u32, uid: u32, gid: u32) -> Result<(), EngineError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let folder = match self.open_with(path, flags, ResolveFlags::NO_SYMLINKS) {
            Ok(folder) => folder,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            Err(error) => return Err(unfit(path, &io::Error::from(error).to_string())),
        };
        let fail = |error: Errno| EngineError::host(format!("setting {} right", path.display()), error);
        let now = rustix::fs::fstat(&folder).map_err(fail)?;
        // What is right already must not be copied up.
        if (now.st_uid, now.st_gid) != (uid, gid) {
            let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            rustix::fs::fchown(&folder, owner.0, owner.1).map_err(fail)?;
        }
        if now.st_mode & 0o7777 != mode {
            rustix::fs::fchmod(&folder, Mode::from_raw_mode(mode & 0o7777)).map_err(fail)?;
        }
        Ok(())
    }
}

fn unfit(path: &Path, why: &str) -> EngineError {
    let message = format!("the image's {} cannot be used: {why}", path.display());
    EngineError::Refused(Refusal::config(message, "mend this path in the image"))
}
