//! The supervisor of one container, a process of its own.
//!
//! ```text
//! engine ──spawns──▶ supervisor (own mount and network namespaces; holds `lock`, listens on `shim.sock`)
//!                       │ 1 reports Namespaces: the engine puts the network in
//!                       │ 2 a child mounts the overlay and writes config.json, then ends with its memory
//!                       │ 3 runs `runtime create`; the container's first process becomes its child
//!                       │ 4 reports Ready, then answers on the socket and pumps the output
//!                       └ 5 the container ends: writes exit.json, deletes every trace, ends itself
//! ```
//!
//! It is small, has one thread, and outlives `darsena serve`. Mounts and network belong to its namespaces, so
//! they go when it and the container have gone, however that came about.

pub(crate) mod protocol;

mod children;
mod client;
mod exec;
mod exec_slot;
mod helper;
mod memory;
mod oom;
mod output;
pub(crate) mod prepare;
mod runtime;
mod supervise;
mod tail;
mod waiting;

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::ExitCode;

use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};

use self::oom::OomWatch;
use self::protocol::{Orders, Report, Trouble};
use self::runtime::Runtime;
use self::supervise::{Made, Supervisor};
use crate::EngineError;
use crate::cgroup::Cgroup;
use crate::error::Doing;
use crate::folders::{RunFolder, SOCKET, read_json};

/// What people and service managers send to end, reload or question a program.
const SIGNALS_OF_OTHERS: [Signal; 6] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];

/// What fits between the command and us, in bytes.
const PIPE_SIZE: usize = 1 << 20;

/// Runs the role: `args` is the container's state folder, alone. Call it before anything starts threads.
///
/// The process that was called ends at once; the supervisor goes on as an orphan, so that nobody has to wait
/// for it. What it reports comes on standard output.
pub fn run(args: &[OsString]) -> ExitCode {
    let [folder] = args else { return ExitCode::from(2) };
    match fork_process() {
        Ok(ForkResult::Parent { .. }) => ExitCode::SUCCESS,
        Ok(ForkResult::Child) => {
            supervise(&RunFolder::new(folder));
            ExitCode::SUCCESS
        }
        Err(error) => {
            report(&Report::Failed(EngineError::host("starting the supervisor", error).into()));
            ExitCode::FAILURE
        }
    }
}

fn supervise(run: &RunFolder) {
    match make(run) {
        Ok(supervisor) => {
            report(&Report::Ready);
            close_report();
            supervisor.run();
        }
        Err(error) => report(&Report::Failed(error.into())),
    }
}

/// Makes the container, up to the point where its command waits to be started.
fn make(run: &RunFolder) -> Result<Supervisor, EngineError> {
    leave_the_caller()?;
    memory::be_killed_last();
    let lock = lock(run)?;
    let listener = listen(run)?;
    let orders: Orders = read_json(&run.orders())
        .doing(|| "reading the supervisor's orders".to_owned())?
        .ok_or_else(|| EngineError::host("reading the supervisor's orders", "they are gone"))?;
    enter_namespaces()?;
    let supervisor = std::process::id() as i32;
    report(&Report::Namespaces { pid: supervisor });

    in_child(|| prepare::prepare(run, &orders, supervisor))?;
    match create(run, &orders) {
        Ok(made) => {
            failpoint::reach("S10");
            Ok(Supervisor::new(run.clone(), orders, lock, listener, made))
        }
        Err(error) => {
            remove_traces(run, &orders, &lock);
            Err(error)
        }
    }
}

/// Nothing that belongs to the caller stays with us: no open file, no terminal, no folder. Nor do we end with it by a
/// signal that was meant for all of the platform, or for all processes of a machine that shuts down: the application
/// gets that one itself, and somebody must see its end.
fn leave_the_caller() -> Result<(), EngineError> {
    let doing = || "leaving the caller's session".to_owned();
    SigSet::from_iter(SIGNALS_OF_OTHERS).thread_block().doing(doing)?;
    // We are told of our children's ends through a descriptor. Whoever started us may have ignored them.
    helper::restore_signal(libc::SIGCHLD);
    SigSet::from(Signal::SIGCHLD).thread_block().doing(doing)?;
    for fd in open_files().doing(doing)? {
        // The listing's own descriptor is closed already.
        let _ = nix::unistd::close(fd);
    }
    nix::unistd::setsid().doing(doing)?;
    std::env::set_current_dir("/").doing(doing)?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    nix::sys::prctl::set_child_subreaper(true).doing(doing)
}

/// Every descriptor but the standard ones, which the engine chose.
fn open_files() -> std::io::Result<Vec<i32>> {
    let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse::<i32>().ok();
    let entries: Vec<_> = std::fs::read_dir("/proc/self/fd")?.collect::<Result<_, _>>()?;
    Ok(entries.into_iter().filter_map(number).filter(|fd| *fd > 2).collect())
}

/// One supervisor a container: the lock is held until this process ends.
fn lock(run: &RunFolder) -> Result<Flock<File>, EngineError> {
    let doing = || "locking the container".to_owned();
    let file = File::options().write(true).create(true).truncate(false).open(run.lock()).doing(doing)?;
    let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error).doing(doing)?;
    match is_held(run, &lock) {
        true => Ok(lock),
        false => Err(EngineError::host(doing(), "it was removed meanwhile")),
    }
}

/// A socket's path has at most 107 bytes, so it is named by the folder's descriptor.
fn listen(run: &RunFolder) -> Result<UnixListener, EngineError> {
    let doing = || "opening the supervisor's socket".to_owned();
    let folder = File::open(run.path()).doing(doing)?;
    let path = format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd());
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).doing(doing)?;
    let only_root = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, only_root).doing(doing)?;
    listener.set_nonblocking(true).doing(doing)?;
    Ok(listener)
}

fn enter_namespaces() -> Result<(), EngineError> {
    let doing = || "making namespaces".to_owned();
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).doing(doing)?;
    // The host's later unmounts reach us, so that we keep none of its disks busy; ours reach nobody.
    let flags = MsFlags::MS_SLAVE | MsFlags::MS_REC;
    mount(None::<&Path>, "/", None::<&Path>, flags, None::<&Path>).doing(doing)
}

fn create(run: &RunFolder, orders: &Orders) -> Result<Made, EngineError> {
    let doing = || "making pipes for the output".to_owned();
    let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).doing(doing);
    let ((stdout, stdout_end), (stderr, stderr_end)) = (pipe()?, pipe()?);
    for output in [&stdout, &stderr] {
        rustix::io::ioctl_fionbio(output, true).doing(doing)?;
        // Whatever holds us up for a moment must not hold up the command. Where the kernel grants less, less.
        let _ = rustix::pipe::fcntl_setpipe_size(output, PIPE_SIZE);
    }
    Runtime { run, orders }.create(stdout_end, stderr_end)?;

    let doing = || "watching the container".to_owned();
    let text = std::fs::read_to_string(run.pid()).doing(doing)?;
    let init: i32 = text.trim().parse().map_err(|error| EngineError::host(doing(), error))?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    let child_ends = SignalFd::with_flags(&SigSet::from(Signal::SIGCHLD), flags).doing(doing)?;
    let oom = OomWatch::of(Cgroup::of(&orders.cgroup).doing(doing)?);
    Ok(Made { init: Pid::from_raw(init), child_ends, outputs: [stdout, stderr], oom })
}

/// Whether the container is still ours: were its folder taken away from under us, another supervisor would hold a
/// new lock in a new folder, for a new container with the same names.
fn is_held(run: &RunFolder, lock: &Flock<File>) -> bool {
    let (Ok(ours), Ok(named)) = (lock.metadata(), std::fs::metadata(run.lock())) else { return false };
    (ours.dev(), ours.ino()) == (named.dev(), named.ino())
}

/// Leaves nothing of the container but its folders. What cannot be removed now is found by the engine later.
fn remove_traces(run: &RunFolder, orders: &Orders, lock: &Flock<File>) {
    if !is_held(run, lock) {
        return;
    }
    let _ = Runtime { run, orders }.delete();
    if let Ok(cgroup) = Cgroup::of(&orders.cgroup) {
        let _ = cgroup.kill();
        let _ = cgroup.remove();
    }
}

/// Does work that needs memory in a child, which takes that memory with it.
fn in_child(work: impl FnOnce() -> Result<(), EngineError>) -> Result<(), EngineError> {
    let doing = || "preparing the container".to_owned();
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).doing(doing)?;
    match fork_process().doing(doing)? {
        ForkResult::Child => {
            drop(reader);
            // It must not go on when we are killed. Were we gone already, the pipe would say so.
            let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
            let outcome = work().map_err(Trouble::from);
            let text = serde_json::to_vec(&outcome).unwrap_or_default();
            let _ = File::from(writer).write_all(&text);
            std::process::exit(0)
        }
        ForkResult::Parent { child } => {
            drop(writer);
            let mut text = Vec::new();
            File::from(reader).read_to_end(&mut text).doing(doing)?;
            let status = waitpid(child, None).doing(doing)?;
            let outcome: Result<(), Trouble> = serde_json::from_slice(&text)
                .map_err(|_| EngineError::host(doing(), format!("it ended early: {status:?}")))?;
            outcome.map_err(EngineError::from)
        }
    }
}

#[expect(unsafe_code, reason = "no other thread exists in this role, so the child may do anything")]
fn fork_process() -> nix::Result<ForkResult> {
    // SAFETY: `run` is called before anything starts threads, and this role starts none.
    unsafe { fork() }
}

/// Nobody reads any more when the engine's process has ended meanwhile; the container is made all the same.
fn report(report: &Report) {
    if let Ok(mut text) = serde_json::to_vec(report) {
        text.push(b'\n');
        let mut stdout = std::io::stdout().lock();
        let _ = stdout.write_all(&text).and_then(|()| stdout.flush());
    }
}

fn close_report() {
    if let Ok(null) = File::options().write(true).open("/dev/null") {
        let _ = nix::unistd::dup2_stdout(null.as_fd());
    }
}
