//! What the unpack process takes from itself before it reads the first byte: the network, every folder but its
//! own, every capability that writing files does not need, and most of the memory.

use std::path::Path;

use rustix::fs::Mode;
use rustix::io::{self, Errno};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{self, Resource, Rlimit};
use rustix::thread::{self, CapabilitySet, CapabilitySets, UnshareFlags};

/// Address space: a window of zstd, the list of directories, and the program itself.
const MAX_MEMORY: u64 = 1 << 30;
const MAX_FILES: u64 = 1024;

/// What writing other people's files needs. Making devices is not among it: whiteouts, the one device in a
/// layer, need no capability (Linux 5.8 and later).
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::SETFCAP);

/// Closes the process in. Afterwards `/` is `folder`. The error names the step.
pub(crate) fn enter(folder: &Path) -> Result<(), (&'static str, Errno)> {
    process::umask(Mode::empty());
    limit(Resource::Core, 0).map_err(named("lower the limit of core files"))?;
    limit(Resource::As, MAX_MEMORY).map_err(named("lower the limit of memory"))?;
    limit(Resource::Nofile, MAX_FILES).map_err(named("lower the limit of open files"))?;

    unshare(UnshareFlags::NEWNS | UnshareFlags::NEWNET | UnshareFlags::NEWIPC)
        .map_err(named("leave the namespaces"))?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(named("make the mounts private"))?;
    process::chdir(folder).map_err(named("enter the layer's folder"))?;
    process::chroot(".").map_err(named("make the layer's folder the root"))?;
    process::chdir("/").map_err(named("enter the layer's folder"))?;

    drop_capabilities().map_err(named("drop the capabilities"))?;
    thread::set_no_new_privs(true).map_err(named("rule out new privileges"))
}

fn named(step: &'static str) -> impl FnOnce(Errno) -> (&'static str, Errno) {
    move |error| (step, error)
}

/// Lowers a limit, soft and hard; one that is lower already stays.
fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let hard = process::getrlimit(resource).maximum.map_or(most, |hard| hard.min(most));
    process::setrlimit(resource, Rlimit { current: Some(hard), maximum: Some(hard) })
}

#[expect(unsafe_code, reason = "unshare is unsafe for the sake of CLONE_FILES only, which is not used")]
fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: no file descriptor table is unshared, so nobody's descriptors change under them.
    unsafe { thread::unshare_unsafe(flags) }
}

fn drop_capabilities() -> io::Result<()> {
    thread::clear_ambient_capability_set()?;
    let every = (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit));
    for capability in every.filter(|capability| !KEPT.contains(*capability)) {
        match thread::remove_capability_from_bounding_set(capability) {
            // The kernel does not know this one.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(error) => return Err(error),
        }
    }
    let sets = CapabilitySets { effective: KEPT, permitted: KEPT, inheritable: CapabilitySet::empty() };
    thread::set_capabilities(None, sets)
}
