//! The process between keeper and room: it makes the namespaces that the room's belong to.

use std::os::fd::AsFd;
use std::path::Path;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Uid, setgroups, sethostname, setresgid, setresuid};

use super::keeper::{End, fork_process};
use super::protocol::{Orders, Report, Trouble};
use super::{inside, report};

/// Goes through to the room, and gives its exit code once it has ended.
pub(super) fn enter(orders: &Orders, keeper: Option<End>) -> i32 {
    match keeper.map_or(Ok(1), |keeper| open(orders, keeper)) {
        Ok(code) => code,
        Err(trouble) => {
            let _ = report(&Report::Failed(trouble));
            1
        }
    }
}

fn open(orders: &Orders, mut keeper: End) -> Result<i32, Trouble> {
    let doing = "making the room's namespaces";
    end_with_the_parent()?;
    close_stdin()?;
    unshare(CloneFlags::CLONE_NEWUSER).map_err(Trouble::machine(doing))?;
    keeper.tell()?;
    keeper.expect()?;
    setgroups(&[]).map_err(Trouble::machine(doing))?;
    let (user, group) = (Uid::from_raw(0), Gid::from_raw(0));
    setresgid(group, group, group).map_err(Trouble::machine(doing))?;
    setresuid(user, user, user).map_err(Trouble::machine(doing))?;
    // Another user id takes the wish away.
    end_with_the_parent()?;
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS)
        .map_err(Trouble::machine(doing))?;
    sethostname("build").map_err(Trouble::machine(doing))?;
    keeper.tell()?;
    // Limits are set now: what is made from here on is under them, and sees no other control group.
    keeper.expect()?;
    unshare(CloneFlags::CLONE_NEWCGROUP | CloneFlags::CLONE_NEWPID).map_err(Trouble::machine(doing))?;

    let (alive, held) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(Trouble::machine(doing))?;
    match fork_process().map_err(Trouble::machine(doing))? {
        ForkResult::Child => {
            drop((keeper, held));
            std::process::exit(inside::run(orders, || end_with_the_parent_of(&alive)));
        }
        ForkResult::Parent { child } => {
            drop(alive);
            match waitpid(child, None) {
                Ok(WaitStatus::Exited(_, code)) => Ok(code),
                Ok(status) => Err(Trouble::Machine(format!("the room ended early: {status:?}"))),
                Err(error) => Err(Trouble::machine("waiting for the room")(error)),
            }
        }
    }
}

fn end_with_the_parent() -> Result<(), Trouble> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(Trouble::machine("tying the room to its keeper"))
}

/// In a namespace of process ids of its own a process cannot ask whether its parent has gone already.
fn end_with_the_parent_of(alive: &impl AsFd) -> Result<(), Trouble> {
    end_with_the_parent()?;
    let mut wanted = [PollFd::new(alive.as_fd(), PollFlags::POLLIN)];
    match poll(&mut wanted, PollTimeout::ZERO) {
        Ok(0) => Ok(()),
        _ => Err(Trouble::Machine("the room's keeper has gone".to_owned())),
    }
}

/// Standard input is the keeper's alone.
fn close_stdin() -> Result<(), Trouble> {
    let doing = "closing standard input";
    let null = std::fs::File::open(Path::new("/dev/null")).map_err(Trouble::machine(doing))?;
    nix::unistd::dup2_stdin(null.as_fd()).map_err(Trouble::machine(doing))
}
