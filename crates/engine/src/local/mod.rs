//! Containers on this machine, and guests.
//!
//! Nothing here is needed while a container runs: its supervisor has all of that. The state is what is on disk
//! and which supervisors answer, so an engine that is opened anew, after whatever ended the one before, finds
//! every container where it stands.

mod check;
mod clear;
mod config;
mod exec;
mod finding;
mod firewall;
mod guests;
mod helpers;
mod host;
mod listening;
mod locks;
mod logs;
mod making;
mod network;
mod places;
mod runtime;
mod subnet;
mod talk;
mod unmaking;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::log::LogLine;
use model::{ContainerId, DeploymentId};
use tokio::sync::{Mutex, OnceCell};

pub use self::config::{Config, RoleCommand};
use self::host::Shared;
use self::locks::Locks;
use self::places::Places;
use self::subnet::Subnet;
use self::unmaking::Logs;
use crate::error::Doing;
use crate::folders::{read_json, write_whole};
use crate::{Check, ContainerSpec, Engine, EngineError, ExecOutcome, Exit, Guest, LogQuery, Status};

/// Runs containers on this machine through an OCI runtime. Cheap to clone.
#[derive(Clone)]
pub struct LocalEngine(Arc<Local>);

struct Local {
    config: Config,
    places: Places,
    subnet: OnceCell<Subnet>,
    /// The runtime, once it has been looked at.
    runtime: OnceCell<PathBuf>,
    /// Held while an address is taken.
    links: Mutex<()>,
    /// One change of a container at a time.
    locks: Locks<ContainerId>,
    /// One command beside a container's own at a time.
    execs: Locks<ContainerId>,
    /// One change of a guest at a time.
    guest_locks: Locks<DeploymentId>,
    /// Guests that this process admitted; all others are leftovers.
    guests: std::sync::Mutex<HashSet<DeploymentId>>,
}

impl LocalEngine {
    /// Takes up the work where an earlier process left it. Looks at nothing and makes nothing yet.
    pub fn open(config: Config) -> Result<Self, EngineError> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if config.instance.len() != 8 || !config.instance.bytes().all(is_hex) {
            return Err(EngineError::host(
                "opening the engine",
                "an instance is named by 8 lower-case hex digits",
            ));
        }
        let places = Places::of(&config);
        Ok(Self(Arc::new(Local {
            config,
            places,
            subnet: OnceCell::new(),
            runtime: OnceCell::new(),
            links: Mutex::new(()),
            locks: Locks::default(),
            execs: Locks::default(),
            guest_locks: Locks::default(),
            guests: std::sync::Mutex::default(),
        })))
    }

    /// Carries a change to its end even when nobody waits for it any more: a half of it would meet the next
    /// change of the same container.
    async fn carry_out<T, F, W>(&self, id: &ContainerId, change: W) -> Result<T, EngineError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, EngineError>> + Send,
        W: FnOnce(Arc<Local>, ContainerId) -> F + Send + 'static,
    {
        let (local, id) = (Arc::clone(&self.0), id.clone());
        let task = tokio::spawn(async move {
            let _guard = local.locks.lock(&id).await;
            change(Arc::clone(&local), id).await
        });
        task.await.unwrap_or_else(|error| Err(EngineError::host("changing a container", error)))
    }

    /// The same for a guest.
    async fn carry_out_for<T, F, W>(&self, id: DeploymentId, change: W) -> Result<T, EngineError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, EngineError>> + Send,
        W: FnOnce(Arc<Local>) -> F + Send + 'static,
    {
        let local = Arc::clone(&self.0);
        let task = tokio::spawn(async move {
            let _guard = local.guest_locks.lock(&id).await;
            change(Arc::clone(&local)).await
        });
        task.await.unwrap_or_else(|error| Err(EngineError::host("changing a guest", error)))
    }
}

impl Local {
    fn nft(&self) -> Result<PathBuf, EngineError> {
        let missing = || EngineError::host("looking for nft", "it is not installed (apt install nftables)");
        firewall::find_nft().ok_or_else(missing)
    }

    /// The installation's network, chosen once and kept as long as the machine runs.
    async fn subnet(&self) -> Result<Subnet, EngineError> {
        let choose = || async {
            let file = self.places.subnet();
            let doing = || "choosing a network for containers".to_owned();
            if let Some(subnet) = read_json(&file).doing(doing)? {
                return Ok(subnet);
            }
            let candidates: Vec<_> =
                Subnet::candidates(&self.config.instance, &network::addresses().await?).collect();
            let run = self.config.run.clone();
            let reserve_one = move |shared: &Shared| {
                for subnet in candidates {
                    if shared.reserve(&subnet.first.to_string(), &run)? {
                        return Ok(Some(subnet));
                    }
                }
                Ok(None)
            };
            let subnet = Shared::change(reserve_one).await.doing(doing)?;
            let subnet = subnet.ok_or_else(|| {
                EngineError::host(doing(), "all of 10.224.0.0/12 is in use on this machine")
            })?;
            let text = serde_json::to_vec(&subnet).map_err(|error| EngineError::host(doing(), error))?;
            write_whole(&file, &text).doing(doing)?;
            Ok(subnet)
        };
        self.subnet.get_or_try_init(choose).await.copied()
    }

    /// The caller holds the container's lock.
    async fn create(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        if self.is_alive(&spec.id).await? {
            return Ok(());
        }
        self.unmake(&spec.id, Logs::Keep).await?;
        let Err(error) = self.make(spec).await else { return Ok(()) };
        if let Err(leftovers) = self.unmake(&spec.id, Logs::Keep).await {
            tracing::warn!(container = %spec.id, %leftovers, "a container that could not be made was not removed");
        }
        Err(error)
    }

    async fn mend(&self) -> Result<(), EngineError> {
        let (network, guests) = (self.mend_network().await, self.dismiss_leftovers().await);
        network.and(guests)
    }

    async fn mend_network(&self) -> Result<(), EngineError> {
        if self.places.links().doing(|| "listing containers".to_owned())?.is_empty() {
            return Ok(());
        }
        firewall::load(&self.nft()?, &self.config.instance, self.subnet().await?).await?;
        Shared::change(Shared::enable_forwarding)
            .await
            .doing(|| "letting the kernel pass packets on".to_owned())
    }
}

#[async_trait]
impl Engine for LocalEngine {
    async fn create(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        let whole = spec.clone();
        self.carry_out(&spec.id, move |local, _| async move { local.create(&whole).await }).await
    }

    async fn start(&self, id: &ContainerId) -> Result<SocketAddr, EngineError> {
        self.carry_out(id, |local, id| async move { local.start(&id).await }).await
    }

    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<(), EngineError> {
        self.0.stop(id, grace).await
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), EngineError> {
        self.carry_out(id, |local, id| async move { local.unmake(&id, Logs::Remove).await }).await
    }

    async fn exec(
        &self,
        id: &ContainerId,
        args: &[String],
        limit: Duration,
    ) -> Result<ExecOutcome, EngineError> {
        self.0.exec(id, args, limit).await
    }

    async fn status(&self, id: &ContainerId) -> Result<Status, EngineError> {
        self.0.status(id).await
    }

    async fn wait(&self, id: &ContainerId) -> Result<Exit, EngineError> {
        self.0.wait(id).await
    }

    async fn list(&self) -> Result<Vec<ContainerId>, EngineError> {
        self.0.places.list().doing(|| "listing containers".to_owned())
    }

    async fn listening(&self, id: &ContainerId) -> Result<Vec<SocketAddr>, EngineError> {
        self.0.listening(id).await
    }

    async fn logs(&self, id: &ContainerId, query: &LogQuery) -> Result<Vec<LogLine>, EngineError> {
        let (folder, query) = (self.0.places.data_of(id).logs(), query.clone());
        let doing = || format!("reading the log of container {id}");
        tokio::task::spawn_blocking(move || logs::read(&folder, &query)).await.doing(doing)?.doing(doing)
    }

    async fn admit(&self, guest: &Guest) -> Result<(), EngineError> {
        let whole = guest.clone();
        self.carry_out_for(guest.id, move |local| async move { local.admit(&whole).await }).await
    }

    async fn dismiss(&self, id: DeploymentId) -> Result<bool, EngineError> {
        self.carry_out_for(id, move |local| async move { local.dismiss(id).await }).await
    }

    async fn mend(&self) -> Result<(), EngineError> {
        self.0.mend().await
    }

    async fn down(&self) -> Result<(), EngineError> {
        self.0.remove_everything().await
    }

    async fn check(&self) -> Vec<Check> {
        self.0.check_machine().await
    }
}
