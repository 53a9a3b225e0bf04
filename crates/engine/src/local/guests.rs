//! Guests: processes that somebody else started, with the limits and the network of a container.
//!
//! A guest's folder comes first and goes last, so that its interface is found by it.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use model::DeploymentId;
use nix::unistd::Pid;

use super::clear::remove_tree;
use super::host::Shared;
use super::subnet::Link;
use super::{Local, firewall, network};
use crate::cgroup::Cgroup;
use crate::error::Doing;
use crate::folders::read_json;
use crate::{EngineError, Guest};

/// How long killed processes may take to go: what they wrote may have to reach a slow disk first.
const PATIENCE: Duration = Duration::from_secs(60);

/// When the whole machine wants memory, guests are the first to go (proc_pid_oom_score_adj(5)).
const OOM_SCORE: &str = "900";

impl Local {
    /// See [`Engine::admit`](crate::Engine::admit). The caller holds the guest's lock.
    pub(super) async fn admit(&self, guest: &Guest) -> Result<(), EngineError> {
        let pid = i32::try_from(guest.pid).map_err(|error| EngineError::host("finding the guest", error))?;
        has_own_network(pid).doing(|| format!("looking at the network of process {pid}"))?;
        let path = self.places.cgroup_of_guest(guest.id);
        let is_here = Cgroup::of(&path).and_then(|group| group.holds(Pid::from_raw(pid)));
        if !is_here.doing(|| "looking for the guest's control group".to_owned())? {
            self.dismiss(guest.id).await?;
        }
        let nft = self.nft()?;
        self.places.make().doing(|| format!("making folders in {}", self.config.run.display()))?;
        let run = self.places.run_of_guest(guest.id);
        let link =
            match read_json::<Link>(&run.network()).doing(|| "reading the guest's address".to_owned())? {
                Some(link) => link,
                None => self.take_link(&run).await?,
            };
        self.admitted().insert(guest.id);
        let limits = guest.limits;
        blocking("limiting a guest", move || limit(&path, pid, &limits)).await?;
        // The rules first: it runs already.
        firewall::load(&nft, &self.config.instance, self.subnet().await?).await?;
        network::plug(pid, network::interface(&self.config.instance, &link), link).await?;
        Shared::change(Shared::enable_forwarding)
            .await
            .doing(|| "letting the kernel pass packets on".to_owned())
    }

    /// See [`Engine::dismiss`](crate::Engine::dismiss). The caller holds the guest's lock.
    pub(super) async fn dismiss(&self, id: DeploymentId) -> Result<bool, EngineError> {
        // Should it fail, it is a leftover from now on.
        self.admitted().remove(&id);
        let path = self.places.cgroup_of_guest(id);
        let out_of_memory = blocking("ending a guest", move || end(&path)).await?;
        let run = self.places.run_of_guest(id);
        let link = read_json::<Link>(&run.network()).unwrap_or_default();
        if let Some(link) = link {
            network::unplug(&network::interface(&self.config.instance, &link)).await?;
        }
        blocking("removing a guest's address", move || remove_tree(run.path())).await?;
        Ok(out_of_memory)
    }

    /// Dismisses every guest that another process admitted, or that could not be dismissed before.
    pub(super) async fn dismiss_leftovers(&self) -> Result<(), EngineError> {
        self.dismiss_those(|id| !self.admitted().contains(&id)).await
    }

    /// Dismisses every guest.
    pub(super) async fn dismiss_all(&self) -> Result<(), EngineError> {
        self.dismiss_those(|_| true).await
    }

    async fn dismiss_those(&self, is_to_go: impl Fn(DeploymentId) -> bool) -> Result<(), EngineError> {
        let mut leftovers = Vec::new();
        for id in self.places.list_guests().doing(|| "listing guests".to_owned())? {
            let _guard = self.guest_locks.lock(&id).await;
            if !is_to_go(id) {
                continue;
            }
            tracing::info!(deployment = %id, "dismissing a guest");
            if let Err(error) = self.dismiss(id).await {
                leftovers.push(format!("guest {id}: {error}"));
            }
        }
        match leftovers.is_empty() {
            true => Ok(()),
            false => Err(EngineError::Leftovers(leftovers)),
        }
    }

    /// The set is changed whole, so a poisoned lock still holds a sound one.
    fn admitted(&self) -> MutexGuard<'_, HashSet<DeploymentId>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses a process that stands in our own network namespace: what is meant for a guest would change the host's.
fn has_own_network(pid: i32) -> io::Result<()> {
    let of = |process: &str| -> io::Result<(u64, u64)> {
        let namespace = fs::metadata(format!("/proc/{process}/ns/net"))?;
        Ok((namespace.dev(), namespace.ino()))
    };
    match of(&pid.to_string())? == of("self")? {
        true => Err(io::Error::other("it has the host's network and no own one")),
        false => Ok(()),
    }
}

fn limit(path: &str, pid: i32, limits: &model::Limits) -> io::Result<()> {
    let group = Cgroup::of(path)?;
    group.make(limits)?;
    for process in group.take_in(Pid::from_raw(pid))? {
        // One that has ended needs none.
        let _ = fs::write(format!("/proc/{process}/oom_score_adj"), OOM_SCORE);
    }
    Ok(())
}

/// Gives whether the kernel killed any of it for want of memory.
fn end(path: &str) -> io::Result<bool> {
    let group = Cgroup::of(path)?;
    group.kill_within(PATIENCE)?;
    let out_of_memory = group.oom_kills() > 0;
    group.remove()?;
    Ok(out_of_memory)
}

async fn blocking<T: Send + 'static>(
    doing: &str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, EngineError> {
    tokio::task::spawn_blocking(work).await.doing(|| doing.to_owned())?.doing(|| doing.to_owned())
}
