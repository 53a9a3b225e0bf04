//! The state of this machine that all installations on it share: which network each has, and whether the kernel
//! passes packets on. Whoever comes first switches that on; whoever leaves last sets it back.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// Outside every installation's own folder, and gone with the last of them.
const SHARED: &str = "/run/darsena.machine";

/// Exists when the machine did not forward packets before the first of us came.
const WAS_OFF: &str = "/run/darsena.machine/forwarding-was-off";

/// Locked, so that no file is needed that nobody could remove again.
const LOCKED: &str = "/run";

const PATIENCE: Duration = Duration::from_secs(20);

/// Where systems keep their programs.
const PROGRAM_FOLDERS: [&str; 6] =
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"];

/// The absolute path of a program of the system.
pub(super) fn find_program(name: &str) -> Option<PathBuf> {
    PROGRAM_FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

pub(super) fn forwards() -> io::Result<bool> {
    Ok(fs::read_to_string(FORWARDING)?.trim() != "0")
}

/// The right to change the shared state, for a moment.
pub(super) struct Shared {
    _lock: Flock<File>,
}

impl Shared {
    /// Waits for the right and uses it.
    pub async fn change<T: Send + 'static>(
        change: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let work = move || change(&Self { _lock: lock(File::open(LOCKED)?)? });
        tokio::task::spawn_blocking(work).await?
    }

    /// Says whether the network of this name is now the one of the installation with run folder `run`. It is
    /// not when another living installation has it.
    pub fn reserve(&self, network: &str, run: &Path) -> io::Result<bool> {
        let file = Path::new(SHARED).join(network);
        match owner(&file)? {
            Some(owner) if owner != run => Ok(false),
            Some(_) => Ok(true),
            None => {
                crate::folders::make_private(Path::new(SHARED))?;
                fs::write(file, run.as_os_str().as_encoded_bytes())?;
                Ok(true)
            }
        }
    }

    /// Lets the kernel pass packets between interfaces.
    pub fn enable_forwarding(&self) -> io::Result<()> {
        if forwards()? {
            return Ok(());
        }
        crate::folders::make_private(Path::new(SHARED))?;
        fs::write(WAS_OFF, "")?;
        fs::write(FORWARDING, "1")
    }

    /// Gives up the network of the installation with run folder `run`; with the last one goes everything else.
    pub fn leave(&self, run: &Path) -> io::Result<()> {
        let mut others = 0;
        let entries = match fs::read_dir(SHARED) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for file in entries {
            let file = file?.path();
            match owner(&file)? {
                _ if file == Path::new(WAS_OFF) => {}
                Some(owner) if owner != run => others += 1,
                _ => fs::remove_file(file)?,
            }
        }
        if others > 0 {
            return Ok(());
        }
        match fs::remove_file(WAS_OFF) {
            Ok(()) => fs::write(FORWARDING, "0")?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        fs::remove_dir(SHARED)
    }
}

/// Others hold the lock for a moment only, so a longer wait means that something is broken.
fn lock(mut file: File) -> io::Result<Flock<File>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((_, Errno::EWOULDBLOCK)) if Instant::now() > deadline => {
                return Err(io::Error::other(format!("another process keeps {LOCKED} locked")));
            }
            Err((again, Errno::EWOULDBLOCK | Errno::EINTR)) => file = again,
            Err((_, error)) => return Err(error.into()),
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The run folder of the installation that has a network, as long as that folder exists.
fn owner(file: &Path) -> io::Result<Option<PathBuf>> {
    match fs::read_to_string(file) {
        Ok(run) => Ok(Some(PathBuf::from(run)).filter(|run| run.is_dir())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
