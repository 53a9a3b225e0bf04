//! The room itself: first of its processes, root of ids that are nobody's outside.

use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::pivot_root;
use rustix::thread::{self, CapabilitySet};

use super::builder;
use super::folders::ROOT;
use super::protocol::{Orders, Report, Trouble};
use super::report;

/// What neither the builder nor a step of a Dockerfile needs, not even in namespaces of its own.
const DROPPED: [CapabilitySet; 17] = [
    CapabilitySet::NET_ADMIN,
    CapabilitySet::NET_RAW,
    CapabilitySet::SYS_MODULE,
    CapabilitySet::SYS_RAWIO,
    CapabilitySet::SYS_PACCT,
    CapabilitySet::SYS_RESOURCE,
    CapabilitySet::SYS_BOOT,
    CapabilitySet::SYS_TIME,
    CapabilitySet::SYS_TTY_CONFIG,
    CapabilitySet::LEASE,
    CapabilitySet::AUDIT_CONTROL,
    CapabilitySet::MAC_ADMIN,
    CapabilitySet::MAC_OVERRIDE,
    CapabilitySet::SYSLOG,
    CapabilitySet::WAKE_ALARM,
    CapabilitySet::BLOCK_SUSPEND,
    CapabilitySet::LINUX_IMMUTABLE,
];

/// Closes the door behind itself, builds, and gives the exit code.
pub(super) fn run(orders: &Orders, tie: impl Fn() -> Result<(), Trouble>) -> i32 {
    let outcome = tie().and_then(|()| close(orders)).and_then(|()| builder::build(orders));
    let (last, code) = match outcome {
        Ok(built) => (built, 0),
        Err(trouble) => (Report::Failed(trouble), 1),
    };
    // Without a listener nothing else counts.
    report(&last).map_or(1, |()| code)
}

fn close(orders: &Orders) -> Result<(), Trouble> {
    enter_root()?;
    // In a user namespace of its own a process would have every capability again, those for the kernel's firewall too.
    std::fs::write("/proc/sys/user/max_user_namespaces", "0")
        .map_err(Trouble::machine("ruling out more namespaces"))?;
    limit(Resource::RLIMIT_NPROC, orders.processes)?;
    limit(Resource::RLIMIT_FSIZE, orders.largest_file)?;
    limit(Resource::RLIMIT_CORE, 0)?;
    drop_capabilities().map_err(Trouble::machine("dropping capabilities"))?;
    thread::set_no_new_privs(true).map_err(Trouble::machine("ruling out new privileges"))
}

/// What was laid out becomes `/`, and what was `/` is gone.
fn enter_root() -> Result<(), Trouble> {
    let doing = "entering the room";
    unshare(CloneFlags::CLONE_NEWNS).map_err(Trouble::machine(doing))?;
    change(ROOT, Some(ROOT), MsFlags::MS_BIND | MsFlags::MS_REC)?;
    std::env::set_current_dir(ROOT).map_err(Trouble::machine(doing))?;
    pivot_root(".", ".").map_err(Trouble::machine(doing))?;
    // These the kernel allows only while the host's are still in sight.
    let closed = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    fresh("proc", "proc", closed, "")?;
    fresh("sysfs", "sys", closed | MsFlags::MS_RDONLY, "")?;
    // The runtime wants to see control groups. Whichever version the host uses, here there is the second alone, and
    // it cannot be written to: all that runs stays in the group of the room.
    fresh("cgroup2", "sys/fs/cgroup", closed | MsFlags::MS_RDONLY, "")?;
    umount2(".", MntFlags::MNT_DETACH).map_err(Trouble::machine(doing))?;
    std::env::set_current_dir("/").map_err(Trouble::machine(doing))?;
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    fresh("tmpfs", "/run", MsFlags::empty(), "mode=755,size=64m")?;
    fresh("tmpfs", "/tmp", plain, "mode=1777,size=64m")
}

/// Mounts a file system that begins empty.
pub(super) fn fresh(kind: &str, at: &str, flags: MsFlags, data: &str) -> Result<(), Trouble> {
    let at = Path::new("/").join(at);
    mount(Some(kind), &at, Some(kind), flags, Some(data))
        .map_err(Trouble::machine(&format!("mounting {}", at.display())))
}

fn change(at: &str, from: Option<&str>, flags: MsFlags) -> Result<(), Trouble> {
    mount(from, at, None::<&str>, flags, None::<&str>).map_err(Trouble::machine("entering the room"))
}

/// Lowers a limit; one that is lower already stays.
fn limit(resource: Resource, most: u64) -> Result<(), Trouble> {
    let doing = "lowering a limit";
    let (_, hard) = getrlimit(resource).map_err(Trouble::machine(doing))?;
    let most = most.min(hard);
    setrlimit(resource, most, most).map_err(Trouble::machine(doing))
}

fn drop_capabilities() -> rustix::io::Result<()> {
    for capability in DROPPED {
        thread::remove_capability_from_bounding_set(capability)?;
    }
    let mut sets = thread::capabilities(None)?;
    let kept = DROPPED.iter().fold(sets.permitted, |kept, dropped| kept.difference(*dropped));
    (sets.effective, sets.permitted, sets.inheritable) = (kept, kept, CapabilitySet::empty());
    thread::set_capabilities(None, sets)
}
