//! Owner, mode, times and extended attributes of what was written.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{self, AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::archive::{Entry, Kind};
use super::report::Refusal;

const MAX_XATTRS: usize = 64;
/// Bytes of one value.
const MAX_XATTR_VALUE: usize = 64 << 10;

/// For what cannot be opened: links and pipes.
pub(super) fn set_owner_and_time(parent: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> Result<(), Refusal> {
    let (uid, gid) = owner(entry);
    fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        .and_then(|()| fs::utimensat(parent, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW))
        .map_err(|error| Refusal::io("set the owner", &entry.name, error))
}

/// Owner, then mode, then attributes: a new owner takes away setuid and file capabilities.
pub(super) fn set_attributes(file: &OwnedFd, entry: &Entry) -> Result<(), Refusal> {
    let failed = |doing| move |error| Refusal::io(doing, &entry.name, error);
    let (uid, gid) = owner(entry);
    fs::fchown(file, Some(uid), Some(gid)).map_err(failed("set the owner"))?;
    fs::fchmod(file, mode(entry)).map_err(failed("set the mode"))?;
    if entry.xattrs.len() > MAX_XATTRS {
        return Err(Refusal::entry(&entry.name, "it has more than 64 extended attributes"));
    }
    for (name, value) in entry.xattrs.iter().filter(|(name, _)| is_kept(name, entry.kind)) {
        if name.len() > 255 || value.len() > MAX_XATTR_VALUE {
            return Err(Refusal::entry(&entry.name, "an extended attribute larger than 64 KiB"));
        }
        match fs::fsetxattr(file, &**name, value, XattrFlags::empty()) {
            // The filesystem has none, or not of this kind; Docker goes on, too.
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(Errno::NOSPC | Errno::TOOBIG | Errno::RANGE | Errno::INVAL | Errno::PERM) => {
                return Err(Refusal::entry(
                    &entry.name,
                    "an extended attribute that this filesystem does not take",
                ));
            }
            Err(error) => return Err(Refusal::io("set an extended attribute", &entry.name, error)),
        }
    }
    Ok(())
}

/// File capabilities, access lists and what users set themselves. Everything of overlayfs is left out, because
/// it would steer the mount; labels of a security module belong to the machine.
fn is_kept(name: &[u8], kind: Kind) -> bool {
    match name {
        b"security.capability" => kind == Kind::File,
        b"system.posix_acl_access" | b"system.posix_acl_default" => true,
        name => name.starts_with(b"user.") && !name.starts_with(b"user.overlay."),
    }
}

pub(super) fn mode(entry: &Entry) -> Mode {
    Mode::from_raw_mode(entry.mode & 0o7777)
}

fn owner(entry: &Entry) -> (Uid, Gid) {
    (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid))
}

/// Both times are the time of change; years that filesystems cannot hold are moved to the nearest they can.
pub(super) fn times(entry: &Entry) -> Timestamps {
    let (seconds, nanos) = entry.mtime;
    let time = Timespec { tv_sec: seconds.clamp(i64::from(i32::MIN), 0x3_7fff_ffff), tv_nsec: nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}
