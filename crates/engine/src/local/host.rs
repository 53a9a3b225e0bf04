//! The state of this machine that all installations on it share.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::EngineError;
use crate::error::Doing;

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// Exists when the machine did not forward packets before the first of us came. It is outside every
/// installation's own folder, because whoever leaves last sets it right.
const WAS_OFF: &str = "/run/darsena.ip_forward";

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

/// Lets the kernel pass packets between interfaces. Call it when the container's interface is there: then
/// nobody who leaves takes it back.
pub(super) fn enable_forwarding() -> Result<(), EngineError> {
    let doing = || format!("setting {FORWARDING}");
    if forwards().doing(doing)? {
        return Ok(());
    }
    fs::write(WAS_OFF, "").doing(|| format!("writing {WAS_OFF}"))?;
    fs::write(FORWARDING, "1").doing(doing)
}

/// Sets forwarding back to what it was. Only for the last installation on the machine.
pub(super) fn restore_forwarding() -> Result<(), EngineError> {
    match fs::remove_file(WAS_OFF) {
        Ok(()) => fs::write(FORWARDING, "0").doing(|| format!("setting {FORWARDING}")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(EngineError::host(format!("removing {WAS_OFF}"), error)),
    }
}
