//! Removing a container, whatever state it is in, and removing everything.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use model::ContainerId;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::clear::remove_tree;
use super::helpers::wait_for_helpers;
use super::host::Shared;
use super::subnet::Link;
use super::talk::Talk;
use super::{Local, firewall, network};
use crate::EngineError;
use crate::cgroup::Cgroup;
use crate::error::Doing;
use crate::folders::{DataFolder, RunFolder, read_json};
use crate::shim::protocol::Ask;

/// How long a supervisor may take to end its container and itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// A supervisor that holds the lock listens a moment later, unless something is wrong with it.
const LISTENS_WITHIN: Duration = Duration::from_secs(10);

/// What becomes of the container's logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Logs {
    Keep,
    Remove,
}

impl Local {
    /// Removes every trace. Goes on after a failure and gathers what could not be removed; the container's own
    /// folder then stays, so that another attempt finds it.
    pub(super) async fn unmake(&self, id: &ContainerId, logs: Logs) -> Result<(), EngineError> {
        let run = self.places.run_of(id);
        let mut leftovers = Vec::new();
        let lock = self.without_supervisor(&run).await;
        let lock = lock.unwrap_or_else(|error| {
            leftovers.push(error.to_string());
            None
        });

        let link = read_json::<Link>(&run.network()).unwrap_or_default();
        if let Some(link) = link {
            let interface = network::interface(&self.config.instance, &link);
            network::unplug(&interface).await.unwrap_or_else(|error| leftovers.push(error.to_string()));
        }
        let (data, cgroup) = (self.places.data_of(id), self.places.cgroup_of(id));
        let state = self.places.runtime_root().join(id.as_str());
        let files = tokio::task::spawn_blocking(move || {
            let _lock = lock;
            note(&mut leftovers, "ending its processes", end_processes(&cgroup));
            note(&mut leftovers, "removing the runtime's state", remove_tree(&state));
            if leftovers.is_empty() {
                note(&mut leftovers, "removing what it wrote", remove_data(&data, logs));
            }
            if leftovers.is_empty() {
                note(&mut leftovers, "removing its state", remove_tree(run.path()));
            }
            leftovers
        });
        match files.await {
            Ok(leftovers) if leftovers.is_empty() => Ok(()),
            Ok(leftovers) => Err(EngineError::Leftovers(leftovers)),
            Err(error) => Err(EngineError::Leftovers(vec![error.to_string()])),
        }
    }

    /// Ends the supervisor and takes its lock, so that none can come after it. One that an earlier process of
    /// ours has only just started may hold the lock and not listen yet, or be about to take it. `None` when the
    /// container has no folder.
    pub(super) async fn without_supervisor(
        &self,
        run: &RunFolder,
    ) -> Result<Option<Flock<File>>, EngineError> {
        let doing = || "ending the supervisor".to_owned();
        let mut file = match File::options().write(true).create(true).truncate(false).open(run.lock()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.doing(doing)?,
        };
        let mut begun = None;
        let lock = loop {
            self.end_supervisor(run).await?;
            let waited = begun.get_or_insert_with(Instant::now).elapsed();
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => break lock,
                Err((_, error)) if waited > PATIENCE => return Err(EngineError::host(doing(), error)),
                Err((again, _)) => file = again,
            }
            if waited > LISTENS_WITHIN
                && let Some(holder) = lock_holder(&file)
            {
                tracing::warn!(supervisor = %holder, "a supervisor cannot be reached and is killed");
                let _ = kill(holder, Signal::SIGKILL);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        // One that told how the container ended had no more to do.
        if !run.exit().exists() {
            wait_for_helpers(run).await;
        }
        Ok(Some(lock))
    }

    /// Asks first, then kills; one that does not listen is left alone.
    async fn end_supervisor(&self, run: &RunFolder) -> Result<(), EngineError> {
        let Some(mut talk) = Talk::connect(run).await? else { return Ok(()) };
        let asked = talk.ask(&Ask::Stop { grace_ms: 0 }, PATIENCE).await;
        match asked.is_ok() && talk.closed(PATIENCE).await {
            true => Ok(()),
            false => talk.kill_supervisor(PATIENCE).await,
        }
    }

    /// See [`Engine::down`](crate::Engine::down).
    pub(super) async fn remove_everything(&self) -> Result<(), EngineError> {
        let mut leftovers = Vec::new();
        let ids = self.places.list().map_err(|error| EngineError::host("listing containers", error))?;
        let removals = ids.iter().map(|id| async move {
            let _guard = self.locks.lock(id).await;
            self.unmake(id, Logs::Remove).await.map_err(|error| format!("container {id}: {error}"))
        });
        let removals = futures_util::future::join_all(removals).await;
        leftovers.extend(removals.into_iter().filter_map(Result::err));
        self.dismiss_all().await.unwrap_or_else(|error| leftovers.push(error.to_string()));

        self.remove_network().await.unwrap_or_else(|error| leftovers.push(error.to_string()));
        let (places, group) = (self.places.clone(), self.places.cgroup());
        let files = tokio::task::spawn_blocking(move || {
            let mut leftovers = Vec::new();
            note(
                &mut leftovers,
                "removing control groups",
                Cgroup::of(&group).and_then(|group| group.remove()),
            );
            note(&mut leftovers, "removing folders", places.remove());
            leftovers
        });
        match files.await {
            Ok(more) => leftovers.extend(more),
            Err(error) => leftovers.push(error.to_string()),
        }
        match leftovers.is_empty() {
            true => Ok(()),
            false => Err(EngineError::Leftovers(leftovers)),
        }
    }

    async fn remove_network(&self) -> Result<(), EngineError> {
        let instance = &self.config.instance;
        if let Some(nft) = firewall::find_nft() {
            firewall::unload(&nft, instance).await?;
        }
        for interface in network::interfaces(&network::interface_prefix(instance)).await? {
            network::unplug(&interface).await?;
        }
        let run = self.config.run.clone();
        Shared::change(move |shared| shared.leave(&run)).await.doing(|| "giving up the network".to_owned())
    }
}

fn note(leftovers: &mut Vec<String>, doing: &str, result: io::Result<()>) {
    if let Err(error) = result {
        leftovers.push(format!("{doing}: {error}"));
    }
}

/// The process that the kernel names as holder of the lock on this file (proc_locks(5)).
fn lock_holder(file: &File) -> Option<Pid> {
    let metadata = file.metadata().ok()?;
    let (major, minor) = (rustix::fs::major(metadata.dev()), rustix::fs::minor(metadata.dev()));
    let place = format!("{major:02x}:{minor:02x}:{}", metadata.ino());
    parse_locks(&std::fs::read_to_string("/proc/locks").ok()?, &place)
}

/// `place` is major and minor number of the device in hex, and the file's number.
fn parse_locks(locks: &str, place: &str) -> Option<Pid> {
    let holder = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", pid, at, ..] = fields[..] else { return None };
        (at == place).then(|| pid.parse().ok()).flatten().filter(|pid| *pid > 0)
    };
    locks.lines().find_map(holder).map(Pid::from_raw)
}

pub(super) fn end_processes(cgroup: &str) -> io::Result<()> {
    let cgroup = Cgroup::of(cgroup)?;
    cgroup.kill()?;
    cgroup.remove()
}

fn remove_data(data: &DataFolder, logs: Logs) -> io::Result<()> {
    remove_tree(&data.upper())?;
    remove_tree(&data.work())?;
    let has_logs = std::fs::read_dir(data.logs()).is_ok_and(|mut files| files.next().is_some());
    match logs {
        Logs::Keep if has_logs => Ok(()),
        _ => remove_tree(data.path()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_found() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 fe:00:77 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 12 fe:00:78 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 13 fe:00:78 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 14 fe:00:77 0 EOF\n";
        assert_eq!(parse_locks(locks, "fe:00:77"), Some(Pid::from_raw(14)));
        assert_eq!(parse_locks(locks, "fe:00:7"), None);

        let file = tempfile::tempfile().unwrap();
        assert_eq!(lock_holder(&file), None);
        let file = Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap();
        assert_eq!(lock_holder(&file), Some(Pid::this()));
    }
}
