//! The volume: a file with a filesystem in it, so that no build takes more of the disk than it may.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{Gid, Uid, fchown};
use rustix::fs::{Mode, OFlags, open};

use super::protocol::{Orders, Trouble};

/// How long a build before this one may take to end.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// One build at a time has a volume.
pub(super) fn lock(path: &Path) -> Result<Flock<File>, Trouble> {
    let doing = "locking the volume";
    let mut file = File::options().write(true).create(true).truncate(false).open(path);
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Flock::lock(file.map_err(Trouble::machine(doing))?, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((back, nix::errno::Errno::EWOULDBLOCK)) if Instant::now() < deadline => file = Ok(back),
            Err((_, error)) => return Err(Trouble::machine(doing)(error)),
        }
        sleep(PAUSE);
    }
}

/// Mounts the volume, which must have some room, and gives its root folder.
pub(super) fn mount(orders: &Orders) -> Result<OwnedFd, Trouble> {
    await_release(&orders.volume)?;
    let doing = "mounting the volume";
    // Not `nosuid` and not `nodev`: the runtime inside may not take such a flag away again, and has to.
    let output = Command::new(&orders.programs.mount)
        .args(["-t", "ext4", "-o", "loop,noatime,discard,errors=remount-ro"])
        .arg(&orders.volume)
        .arg(&orders.mountpoint)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .map_err(Trouble::machine(doing))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Trouble::volume(doing)(said));
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = open(&orders.mountpoint, flags, Mode::empty()).map_err(Trouble::machine(doing))?;
    let (id, group) = (Uid::from_raw(orders.first_id), Gid::from_raw(orders.first_id));
    fchown(root.as_fd(), Some(id), Some(group)).map_err(Trouble::volume(doing))?;
    rustix::fs::fchmod(&root, Mode::from_raw_mode(0o700)).map_err(Trouble::volume(doing))?;
    let usage = rustix::fs::fstatvfs(&root).map_err(Trouble::volume(doing))?;
    if is_nearly_full(&usage) {
        return Err(Trouble::Volume("less than a tenth of the volume is free".to_owned()));
    }
    Ok(root)
}

/// Whether less than a tenth is free: of the blocks, or of the files that there can be.
pub(super) fn is_nearly_full(usage: &rustix::fs::StatVfs) -> bool {
    usage.f_bavail < usage.f_blocks / 10 || usage.f_favail < usage.f_files / 10
}

/// A filesystem that is mounted twice is destroyed. The kernel lets go of a loop device a moment after the last
/// process of the room before us has ended.
fn await_release(volume: &Path) -> Result<(), Trouble> {
    let deadline = Instant::now() + PATIENCE;
    while is_attached(volume) {
        if Instant::now() > deadline {
            return Err(Trouble::Machine(format!("{} is still mounted", volume.display())));
        }
        sleep(PAUSE);
    }
    Ok(())
}

fn is_attached(volume: &Path) -> bool {
    let Ok(devices) = std::fs::read_dir("/sys/block") else { return false };
    let mut files = devices
        .flatten()
        .filter_map(|device| std::fs::read_to_string(device.path().join("loop/backing_file")).ok());
    files.any(|file| Path::new(file.trim_end_matches('\n')) == volume)
}
