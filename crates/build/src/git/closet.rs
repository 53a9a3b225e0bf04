//! What a program sees of this machine: the system's programs, and the few files that the call is about. Whatever
//! a server or a repository could make git do, it finds neither secrets nor anything that can be changed.
//!
//! The paths are those of the host, in a root of their own. Mounts and root go with the program.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{Mode, OFlags, open};

/// Where the new root is laid out: a folder that every machine has. What it holds does not count any more.
const ROOT: &str = "/tmp";
/// What programs need. Links, as of a merged `/usr`, are made anew.
const PROGRAMS: [&str; 6] = ["usr", "bin", "sbin", "lib", "lib64", "lib32"];
const AUTHORITIES: &str = "etc/ssl/certs";
/// In that folder, and on some machines a mount of its own.
const BUNDLE: &str = "ca-certificates.crt";
const DEVICES: [&str; 3] = ["null", "random", "urandom"];
/// ssh wants to know who it is.
const PASSWD: &str = "root:x:0:0::/nonexistent:/usr/sbin/nologin\n";

/// A file or folder of the host that a program may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// To read and run.
    Read(PathBuf),
    /// A folder, also to write.
    Write(PathBuf),
}

impl Shown {
    /// As one argument of the role that shows it.
    pub fn to_argument(&self) -> OsString {
        let (mark, path) = match self {
            Self::Read(path) => ("r:", path),
            Self::Write(path) => ("w:", path),
        };
        let mut argument = OsString::from(mark);
        argument.push(path);
        argument
    }

    pub fn from_argument(argument: &OsStr) -> Option<Self> {
        let bytes = argument.as_bytes();
        let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
        match bytes.strip_prefix(b"r:") {
            Some(rest) => Some(Self::Read(path(rest))),
            None => bytes.strip_prefix(b"w:").map(|rest| Self::Write(path(rest))),
        }
    }

    fn path(&self) -> &Path {
        let (Self::Read(path) | Self::Write(path)) = self;
        path
    }
}

/// Leaves everything else behind, for this process and all that it starts. The folder that it works in must be shown.
pub(super) fn enter(shown: &[Shown]) -> io::Result<()> {
    let working = std::env::current_dir()?;
    unshare(CloneFlags::CLONE_NEWNS)?;
    // The host's later unmounts reach us, so that no disk stays busy; ours reach nobody.
    change("/", MsFlags::MS_SLAVE | MsFlags::MS_REC)?;
    // Held before the new root may cover it.
    let held: Vec<(OwnedFd, &Shown)> =
        shown.iter().map(|shown| Ok((hold(shown.path())?, shown))).collect::<io::Result<_>>()?;
    let root = Path::new(ROOT);
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("closet"), root, Some("tmpfs"), flags, Some("size=1m,mode=755"))?;
    lay_out(root)?;
    for (file, shown) in &held {
        show_held(root, file, shown)?;
    }
    drop(held);
    change(ROOT, MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | flags)?;
    std::env::set_current_dir(ROOT)?;
    nix::unistd::pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    std::env::set_current_dir(working)
}

fn lay_out(root: &Path) -> io::Result<()> {
    for name in PROGRAMS {
        let (from, to) = (Path::new("/").join(name), root.join(name));
        match fs::symlink_metadata(&from) {
            Ok(data) if data.is_symlink() => symlink(fs::read_link(&from)?, &to)?,
            Ok(data) if data.is_dir() => show(&from, &to, MsFlags::MS_RDONLY)?,
            _ => {}
        }
    }
    let (from, to) = (Path::new("/").join(AUTHORITIES), root.join(AUTHORITIES));
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOEXEC;
    if from.is_dir() {
        show(&from, &to, flags)?;
    }
    if from.join(BUNDLE).is_file() {
        show_over(&from.join(BUNDLE), &to.join(BUNDLE), flags)?;
    }
    fs::create_dir_all(root.join("etc"))?;
    fs::write(root.join("etc/passwd"), PASSWD)?;
    fs::create_dir(root.join("dev"))?;
    for name in DEVICES {
        let to = root.join("dev").join(name);
        fs::write(&to, "")?;
        show_over(&Path::new("/dev").join(name), &to, MsFlags::MS_NOEXEC)?;
    }
    Ok(())
}

fn show_held(root: &Path, file: &OwnedFd, shown: &Shown) -> io::Result<()> {
    let to = root.join(shown.path().strip_prefix("/").unwrap_or(shown.path()));
    let from = Path::new("/proc/self/fd").join(file.as_raw_fd().to_string());
    match shown {
        // One of the system's own.
        Shown::Read(_) if to.exists() => Ok(()),
        Shown::Read(_) => show(&from, &to, MsFlags::MS_RDONLY),
        Shown::Write(_) => show(&from, &to, MsFlags::MS_NOEXEC),
    }
}

/// Makes a place for it first.
fn show(from: &Path, to: &Path, flags: MsFlags) -> io::Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
    } else {
        to.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(to, "")?;
    }
    show_over(from, to, flags | MsFlags::MS_NODEV)
}

/// In the place of what is there.
fn show_over(from: &Path, to: &Path, flags: MsFlags) -> io::Result<()> {
    mount(Some(from), to, None::<&Path>, MsFlags::MS_BIND, None::<&Path>)?;
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_NOSUID | flags;
    Ok(mount(None::<&Path>, to, None::<&Path>, flags, None::<&Path>)?)
}

fn change(at: &str, flags: MsFlags) -> io::Result<()> {
    Ok(mount(None::<&Path>, at, None::<&Path>, flags, None::<&Path>)?)
}

fn hold(path: &Path) -> io::Result<OwnedFd> {
    Ok(open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_goes_through_an_argument() {
        for shown in [Shown::Read("/a b".into()), Shown::Write("/r:x".into())] {
            assert_eq!(Shown::from_argument(&shown.to_argument()), Some(shown));
        }
        assert_eq!(Shown::from_argument(OsStr::new("/x")), None);
    }
}
