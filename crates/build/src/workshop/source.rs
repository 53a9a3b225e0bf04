//! The checkout: which of its files count for a build. Nothing outside of it is ever opened.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use model::{BuildSettings, Failure, FailureCode, Phase, Recipe};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use super::explain;
use crate::builder::{Dockerfile, Origin};
use crate::made::{self, Bases};

/// Most bytes of a Dockerfile or a list of what to leave out.
const LONGEST: u64 = 1 << 20;

/// What a build begins with.
#[derive(Debug)]
pub(super) struct Source {
    pub dockerfile: Dockerfile,
    /// Folder that the Dockerfile sees.
    pub context: PathBuf,
    /// List of what it does not see, when it belongs to this Dockerfile alone.
    pub ignore: Option<String>,
}

impl Source {
    pub fn open(checkout: &Path, settings: &BuildSettings, bases: &Bases) -> Result<Self, Failure> {
        let root = openat(rustix::fs::CWD, checkout, FOLDER, Mode::empty())
            .map_err(|error| explain::internal(format!("The checkout cannot be opened: {error}.")))?;
        let folder = open_folder(root.as_fd(), &settings.path, "build path", "the repository")?;
        let context = match settings.context.as_str() {
            "" | "." => folder.try_clone().map_err(|error| explain::internal(error.to_string()))?,
            // The context may lie beside the folder to build, but inside of the repository.
            words => open_folder(root.as_fd(), &joined(&settings.path, words), "context", "the repository")?,
        };
        let path = path_of(&context)?;
        let (dockerfile, ignore) = dockerfile(root.as_fd(), &path_of(&folder)?, settings, bases)?;
        make_readable(context.as_fd())
            .map_err(|error| explain::internal(format!("The checkout cannot be made readable: {error}.")))?;
        Ok(Self { dockerfile, context: path, ignore })
    }
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

fn joined(folder: &str, path: &str) -> String {
    if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") }
}

fn dockerfile(
    root: BorrowedFd<'_>,
    folder: &Path,
    settings: &BuildSettings,
    bases: &Bases,
) -> Result<(Dockerfile, Option<String>), Failure> {
    let name = joined(&settings.path, &settings.dockerfile);
    match &settings.recipe {
        Recipe::Given(text) => Ok((Dockerfile { text: text.clone(), origin: Origin::Given }, None)),
        Recipe::Made => Ok((made(folder, bases)?, None)),
        Recipe::Found => match read(root, &name)? {
            Some(text) => {
                let ignore = read(root, &format!("{name}.dockerignore"))?;
                Ok((Dockerfile { text, origin: Origin::Found(name) }, ignore))
            }
            // Another name was asked for on purpose.
            None if settings.dockerfile != BuildSettings::default().dockerfile => Err(not_found(&name)),
            None => Ok((made(folder, bases)?, None)),
        },
    }
}

fn made(folder: &Path, bases: &Bases) -> Result<Dockerfile, Failure> {
    let made::Made { text, kind } = made::make(folder, bases).map_err(|error| {
        Failure::new(Phase::Build, error.code(), sentence(&error.to_string()), Some(&sentence(&error.hint())))
    })?;
    Ok(Dockerfile { text, origin: Origin::Made(kind.to_string()) })
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", characters.as_str())
}

fn not_found(name: &str) -> Failure {
    let hint = "Commit it there, or give the Dockerfile's right path in the settings of the application.";
    let message = format!("The repository has no {name}.");
    Failure::new(Phase::Build, FailureCode::DockerfileNotFound, message, Some(hint))
}

fn open_folder(root: BorrowedFd<'_>, path: &str, what: &str, whose: &str) -> Result<OwnedFd, Failure> {
    let path = if path.is_empty() { "." } else { path };
    beneath(root, path, FOLDER).map_err(|error| refused(error, &format!("The {what} {path:?}"), whose))
}

/// The text of a file; `None`: there is none.
fn read(root: BorrowedFd<'_>, path: &str) -> Result<Option<String>, Failure> {
    let shown = format!("The file {path:?}");
    // A pipe must not make us wait.
    let file = match beneath(root, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(error) => return Err(refused(error, &shown, "the repository")),
    };
    let unusable = |why: &str| invalid(format!("{shown} {why}."));
    if !file.metadata().is_ok_and(|meta| meta.is_file()) {
        return Err(unusable("is no file"));
    }
    let mut text = Vec::new();
    file.take(LONGEST + 1)
        .read_to_end(&mut text)
        .map_err(|error| unusable(&format!("cannot be read: {error}")))?;
    if text.len() as u64 > LONGEST {
        return Err(unusable("is larger than 1 MiB"));
    }
    String::from_utf8(text).map(Some).map_err(|_| unusable("is no text in UTF-8"))
}

/// Opens what a path leads to without leaving the folder, not even for a moment.
fn beneath(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    openat2(root, path, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS)
}

fn refused(error: Errno, what: &str, whose: &str) -> Failure {
    invalid(match error {
        Errno::XDEV => format!("{what} leads out of {whose}."),
        Errno::NOENT => format!("{what} is not in {whose}."),
        Errno::NOTDIR => format!("{what} is no folder."),
        Errno::LOOP => format!("{what} is a link that leads nowhere."),
        error => format!("{what} cannot be opened: {error}."),
    })
}

fn invalid(message: String) -> Failure {
    let hint =
        "Paths in the settings of the application are relative to the repository and stay inside of it.";
    Failure::new(Phase::Build, FailureCode::RepositoryInvalid, message, Some(hint))
}

/// Where an open folder is.
fn path_of(folder: &OwnedFd) -> Result<PathBuf, Failure> {
    std::fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd()))
        .map_err(|error| explain::internal(format!("The checkout's place is not known: {error}.")))
}

/// Lets the builder's user read every file. Git keeps of a mode only whether a file can be run.
fn make_readable(folder: BorrowedFd<'_>) -> Result<(), Errno> {
    add_mode(folder, 0o555)?;
    let mut entries = Dir::read_from(folder)?;
    while let Some(entry) = entries.read() {
        let entry = entry?;
        let name = entry.file_name();
        if [c".", c".."].contains(&name) {
            continue;
        }
        let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let below = openat(folder, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
                make_readable(below.as_fd())?;
            }
            FileType::RegularFile => {
                let wanted = if stat.st_mode & 0o100 == 0 { 0o444 } else { 0o555 };
                if stat.st_mode & wanted != wanted {
                    let file = openat(
                        folder,
                        name,
                        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                        Mode::empty(),
                    )?;
                    add_mode(file.as_fd(), wanted)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn add_mode(file: BorrowedFd<'_>, wanted: u32) -> Result<(), Errno> {
    let mode = rustix::fs::fstat(file)?.st_mode & 0o7777;
    if mode & wanted == wanted {
        return Ok(());
    }
    rustix::fs::fchmod(file, Mode::from_raw_mode(mode | wanted))
}
