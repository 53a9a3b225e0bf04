//! The outermost process of a room.

use std::fs::File;
use std::io::{BufRead, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use rustix::process::{PidfdFlags, pidfd_open};

use super::protocol::{GO, Orders, Report, Trouble};
use super::{door, folders, report, volume};

/// How many ids there are inside.
const IDS: u32 = 65_536;

/// Makes the room and stays until it has ended, or until nobody is interested any more.
pub(super) fn keep(orders: &Orders) -> Result<ExitCode, Trouble> {
    leave_the_caller()?;
    let _lock = volume::lock(&orders.lock)?;
    let volume = volume::mount(orders)?;
    folders::lay_out(orders, volume.as_fd())?;
    drop(volume);

    let mut channel = Channel::open()?;
    let door = match fork_process().map_err(Trouble::machine("starting a process"))? {
        ForkResult::Child => std::process::exit(door::enter(orders, channel.other_end())),
        ForkResult::Parent { child } => child,
    };
    channel.close_other_end();
    let outcome = admit(&mut channel, door, orders.first_id).and_then(|()| watch(door));
    end(door);
    outcome
}

/// A namespace of our own for what is mounted; who ends us ends all that we started.
fn leave_the_caller() -> Result<(), Trouble> {
    let doing = "leaving the caller's namespaces";
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0)
        .map_err(Trouble::machine(doing))?;
    for fd in open_files().map_err(Trouble::machine(doing))? {
        // The listing's own descriptor is closed already.
        let _ = nix::unistd::close(fd);
    }
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    nix::unistd::setsid().map_err(Trouble::machine(doing))?;
    std::env::set_current_dir("/").map_err(Trouble::machine(doing))?;
    // What is left of the room becomes our child, so that we know when nothing is.
    nix::sys::prctl::set_child_subreaper(true).map_err(Trouble::machine(doing))?;
    unshare(CloneFlags::CLONE_NEWNS).map_err(Trouble::machine(doing))?;
    // The host's later unmounts reach us, so that we keep none of its disks busy; ours reach nobody.
    let flags = MsFlags::MS_SLAVE | MsFlags::MS_REC;
    mount(None::<&Path>, "/", None::<&Path>, flags, None::<&Path>).map_err(Trouble::machine(doing))
}

/// Every descriptor but the standard ones.
fn open_files() -> std::io::Result<Vec<i32>> {
    let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse::<i32>().ok();
    let entries: Vec<_> = std::fs::read_dir("/proc/self/fd")?.collect::<Result<_, _>>()?;
    Ok(entries.into_iter().filter_map(number).filter(|fd| *fd > 2).collect())
}

/// Gives the door its ids, has it connected, and lets it go on.
fn admit(channel: &mut Channel, door: Pid, first_id: u32) -> Result<(), Trouble> {
    channel.expect()?;
    for map in ["uid_map", "gid_map"] {
        std::fs::write(format!("/proc/{door}/{map}"), format!("0 {first_id} {IDS}"))
            .map_err(Trouble::machine("mapping the room's ids"))?;
    }
    channel.tell()?;
    channel.expect()?;
    let gone = |_| Trouble::Machine("nobody waits for the build".to_owned());
    report(&Report::Ready { pid: door.as_raw().cast_unsigned() }).map_err(gone)?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(gone)?;
    if line != GO {
        return Err(Trouble::Machine("nobody waits for the build".to_owned()));
    }
    channel.tell()
}

/// Waits until the room has ended or standard input has.
fn watch(door: Pid) -> Result<ExitCode, Trouble> {
    let doing = "watching the room";
    let pid = rustix::process::Pid::from_raw(door.as_raw()).ok_or(Errno::ESRCH);
    let pid = pid.map_err(Trouble::machine(doing))?;
    let ended = pidfd_open(pid, PidfdFlags::empty()).map_err(Trouble::machine(doing))?;
    let stdin = std::io::stdin();
    loop {
        let mut wanted =
            [PollFd::new(ended.as_fd(), PollFlags::POLLIN), PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut wanted, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(Trouble::machine(doing)(error)),
        }
        let is_ready = |index: usize| wanted[index].revents().is_some_and(|events| !events.is_empty());
        if is_ready(0) {
            return Ok(match waitpid(door, None) {
                Ok(WaitStatus::Exited(_, 0)) => ExitCode::SUCCESS,
                _ => ExitCode::FAILURE,
            });
        }
        // Nothing more is said to us, so there is nothing to read but the end.
        if is_ready(1) {
            return Ok(ExitCode::FAILURE);
        }
    }
}

/// Ends the room and waits until no process of it is left: only then is the volume free.
fn end(door: Pid) {
    let _ = kill(door, Signal::SIGKILL);
    loop {
        match waitpid(None::<Pid>, None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}

/// Two pipes between keeper and door, over which each says that it is so far.
pub(super) struct Channel {
    ours: End,
    theirs: Option<End>,
}

/// One end of it.
pub(super) struct End {
    reader: File,
    writer: File,
}

impl Channel {
    fn open() -> Result<Self, Trouble> {
        let pipe = || -> Result<(OwnedFd, OwnedFd), Trouble> {
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
                .map_err(Trouble::machine("making a pipe"))
        };
        let ((to_them, from_us), (to_us, from_them)) = (pipe()?, pipe()?);
        let end = |reader: OwnedFd, writer: OwnedFd| End { reader: reader.into(), writer: writer.into() };
        Ok(Self { ours: end(to_us, from_us), theirs: Some(end(to_them, from_them)) })
    }

    /// In the child: its end; ours is closed with the channel.
    fn other_end(self) -> Option<End> {
        self.theirs
    }

    fn close_other_end(&mut self) {
        self.theirs = None;
    }

    fn expect(&mut self) -> Result<(), Trouble> {
        self.ours.expect()
    }

    fn tell(&mut self) -> Result<(), Trouble> {
        self.ours.tell()
    }
}

impl End {
    /// Waits until the other one is so far.
    pub fn expect(&mut self) -> Result<(), Trouble> {
        self.reader
            .read_exact(&mut [0])
            .map_err(Trouble::machine("waiting for the other process of the room"))
    }

    pub fn tell(&mut self) -> Result<(), Trouble> {
        self.writer.write_all(&[0]).map_err(Trouble::machine("telling the other process of the room"))
    }
}

#[expect(unsafe_code, reason = "no other thread exists in this role, so the child may do anything")]
pub(super) fn fork_process() -> nix::Result<ForkResult> {
    // SAFETY: the role is entered before anything starts threads, and it starts none.
    unsafe { fork() }
}
