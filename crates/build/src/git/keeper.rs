//! Two small processes that see to it that a program ends, with everything that it started, as soon as nobody waits
//! for it: neither a dropped call nor a killed control plane leaves anything running.
//!
//! The keeper makes a process namespace (pid_namespaces(7)) and starts the first process in it, which starts the
//! program. Both have the *lifeline* as their input: a pipe whose other end only the control plane has. When it
//! closes, the first process ends, and the kernel ends all others of its namespace. So it does when the program ends.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::stat::{Mode, umask};

use rustix::thread::{CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities};

use super::closet::{self, Shown};
use super::helper::Role;

/// The keeper could not do its work; what it says names the reason.
pub(super) const NOT_KEPT: u8 = 121;
/// The program could not be started.
pub(super) const NOT_STARTED: u8 = 122;

/// Ends what is shown, before the program.
const PROGRAM: &str = "--";

/// Arguments of a keeper: the largest file and the memory, in bytes, what is shown, then the program with its own.
pub(super) fn arguments(file: u64, memory: u64, shown: &[Shown]) -> Vec<OsString> {
    let limits = [file.to_string().into(), memory.to_string().into()];
    let shown = shown.iter().map(Shown::to_argument);
    limits.into_iter().chain(shown).chain([PROGRAM.into()]).collect()
}

/// The keeper's role.
pub(super) fn keep(arguments: &[OsString]) -> ExitCode {
    if let Err(error) = unshare(CloneFlags::CLONE_NEWPID) {
        return fail(NOT_KEPT, "a process namespace cannot be made (it needs root)", &error);
    }
    let first = Command::new("/proc/self/exe").arg0(Role::First.name()).args(arguments).status();
    match first {
        Ok(status) => code(status),
        Err(error) => fail(NOT_KEPT, "its first process cannot be started", &error),
    }
}

/// The first process' role.
pub(super) fn first(arguments: &[OsString]) -> ExitCode {
    let [file, memory, rest @ ..] = arguments else {
        return fail(NOT_KEPT, "arguments are missing", &"");
    };
    let mut rest = rest.iter();
    let shown: Vec<Shown> = rest.by_ref().map_while(|argument| Shown::from_argument(argument)).collect();
    let Some(program) = rest.next() else { return fail(NOT_KEPT, "a program is missing", &"") };
    let number = |text: &OsString| text.to_str().and_then(|text| text.parse::<u64>().ok());
    let (Some(file), Some(memory)) = (number(file), number(memory)) else {
        return fail(NOT_KEPT, "a limit is no number", &"");
    };
    umask(Mode::from_bits_truncate(0o022));
    if let Err(error) = report_large_files() {
        return fail(NOT_KEPT, "a signal cannot be ignored", &error);
    }
    // Lowering a limit is always allowed.
    let limits =
        [(Resource::RLIMIT_CORE, 0), (Resource::RLIMIT_FSIZE, file), (Resource::RLIMIT_DATA, memory)];
    for (resource, most) in limits {
        if let Err(error) = setrlimit(resource, most, most) {
            return fail(NOT_KEPT, "a limit cannot be set", &error);
        }
    }
    if let Err(error) = closet::enter(&shown) {
        return fail(NOT_KEPT, "this machine cannot be hidden from it", &error);
    }
    if let Err(error) = give_up_privileges() {
        return fail(NOT_KEPT, "its privileges cannot be taken away", &error);
    }
    let child = Command::new(program).args(rest).stdin(Stdio::null()).spawn();
    std::thread::spawn(end_with_the_lifeline);
    match child.and_then(|mut child| child.wait()) {
        Ok(status) => code(status),
        Err(error) => fail(NOT_STARTED, &program.to_string_lossy(), &error),
    }
}

/// Programs that read what strangers wrote keep the account, which owns the files, and no power beyond it
/// (capabilities(7)): none over the network, the kernel, mounts or other accounts' files.
fn give_up_privileges() -> rustix::io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    for number in 0..64 {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            Ok(()) => {}
            // The kernel knows no more of them.
            Err(rustix::io::Errno::INVAL) => break,
            Err(error) => return Err(error),
        }
    }
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
}

/// Has whoever writes a file that is too large told so, instead of being killed without a word.
#[expect(unsafe_code, reason = "an ignored signal runs nothing of ours, and programs inherit that")]
fn report_large_files() -> nix::Result<()> {
    // SAFETY: no handler is installed.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) }.map(drop)
}

/// Nothing is ever written to the lifeline.
fn end_with_the_lifeline() {
    let mut lifeline = std::io::stdin().lock();
    while matches!(lifeline.read(&mut [0]), Ok(1..)) {}
    std::process::exit(i32::from(NOT_KEPT));
}

/// A shell's way of saying how a program ended: 128 + n for signal n.
fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(255);
    ExitCode::from(u8::try_from(code).unwrap_or(255))
}

fn fail(code: u8, what: &str, why: &dyn Display) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{what}: {why}");
    ExitCode::from(code)
}
