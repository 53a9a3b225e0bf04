//! Containers on this machine.
//!
//! Nothing here is needed while a container runs: its supervisor has all of that. The state is what is on disk
//! and which supervisors answer, so an engine that is opened anew, after whatever ended the one before, finds
//! every container where it stands.

mod check;
mod clear;
mod config;
mod firewall;
mod host;
mod listening;
mod locks;
mod logs;
mod making;
mod network;
mod places;
mod subnet;
mod talk;
mod unmaking;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use model::log::LogLine;
use model::{ContainerId, Timestamp};
use tokio::sync::{Mutex, OnceCell};

pub use self::config::{Config, RoleCommand};
use self::locks::Locks;
use self::making::is_whole;
use self::places::Places;
use self::subnet::{Link, Subnet};
use self::talk::Talk;
use self::unmaking::Logs;
use crate::cgroup::Cgroup;
use crate::error::Doing;
use crate::folders::{RunFolder, read_json, write_whole};
use crate::shim::protocol::{Answer, Ask};
use crate::{Check, ContainerSpec, Engine, EngineError, Exit, LogQuery, Status};

/// How long a supervisor may take to answer, and longer than `grace` to stop.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs containers on this machine through an OCI runtime.
pub struct LocalEngine {
    config: Config,
    places: Places,
    subnet: OnceCell<Subnet>,
    /// Held while an address is taken.
    links: Mutex<()>,
    /// One change of a container at a time.
    locks: Locks,
}

/// What is there of a container.
enum Found {
    Nothing,
    /// Making it did not come to its end.
    HalfMade,
    /// Whole, and its supervisor answers.
    Alive(Talk),
    Ended(Exit),
    /// Whole, but nobody supervises it.
    Orphaned,
}

impl LocalEngine {
    /// Takes up the work where an earlier process left it. Quick; needs root to be of use.
    pub fn open(config: Config) -> Result<Self, EngineError> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if config.instance.len() != 8 || !config.instance.bytes().all(is_hex) {
            return Err(EngineError::host(
                "opening the engine",
                "an instance is named by 8 lower-case hex digits",
            ));
        }
        let places = Places::of(&config);
        places.make().doing(|| format!("making {} and {}", config.run.display(), config.data.display()))?;
        let (subnet, links, locks) = (OnceCell::new(), Mutex::new(()), Locks::default());
        Ok(Self { config, places, subnet, links, locks })
    }

    fn runtime(&self) -> Result<PathBuf, EngineError> {
        let missing =
            || EngineError::host("looking for the OCI runtime", "runc is not installed (apt install runc)");
        self.config.runtime.clone().or_else(|| host::find_program("runc")).ok_or_else(missing)
    }

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
            let subnet =
                Subnet::choose(&self.config.instance, &network::addresses().await?).ok_or_else(|| {
                    EngineError::host(doing(), "the host's own networks overlap all of 10.224.0.0/12")
                })?;
            let text = serde_json::to_vec(&subnet).map_err(|error| EngineError::host(doing(), error))?;
            write_whole(&file, &text).doing(doing)?;
            Ok(subnet)
        };
        self.subnet.get_or_try_init(choose).await.copied()
    }

    async fn find(&self, id: &ContainerId) -> Result<Found, EngineError> {
        let run = self.places.run_of(id);
        let read_exit =
            || read_json::<Exit>(&run.exit()).doing(|| "reading how the container ended".to_owned());
        if !fs::exists(run.path()).doing(|| format!("looking for {}", run.path().display()))? {
            return Ok(Found::Nothing);
        }
        if let Some(exit) = read_exit()? {
            return Ok(Found::Ended(exit));
        }
        if !is_whole(&run) {
            return Ok(Found::HalfMade);
        }
        if let Some(talk) = Talk::connect(&run).await? {
            return Ok(Found::Alive(talk));
        }
        // The supervisor writes the exit before it goes, so it can only be found by a look after it went.
        match read_exit()? {
            Some(exit) => Ok(Found::Ended(exit)),
            None if is_whole(&run) => Ok(Found::Orphaned),
            None => Ok(Found::Nothing),
        }
    }

    /// Somebody killed the supervisor. Nobody reads the output any more and nobody would see the end, so the
    /// container is ended, and it is said why.
    async fn end_orphan(&self, id: &ContainerId) -> Result<Exit, EngineError> {
        let (run, group) = (self.places.run_of(id), self.places.cgroup_of(id));
        let doing = || format!("ending container {id}, whose supervisor was killed");
        let end = move || -> std::io::Result<Exit> {
            let group = Cgroup::of(&group)?;
            group.kill()?;
            group.remove()?;
            let detail = Some("its supervisor was killed".to_owned());
            let exit = Exit { code: 137, out_of_memory: false, at: Timestamp::now(), detail };
            write_whole(&run.exit(), &serde_json::to_vec(&exit)?)?;
            Ok(exit)
        };
        tracing::warn!(container = %id, "the supervisor was killed; the container is ended too");
        tokio::task::spawn_blocking(end).await.doing(doing)?.doing(doing)
    }

    fn address(&self, run: &RunFolder) -> Result<SocketAddr, EngineError> {
        let doing = || "reading the container's address".to_owned();
        let gone = || EngineError::host(doing(), "it is gone");
        let link: Link = read_json(&run.network()).doing(doing)?.ok_or_else(gone)?;
        let spec: ContainerSpec = read_json(&run.spec()).doing(doing)?.ok_or_else(gone)?;
        Ok(SocketAddr::new(link.address.into(), spec.port))
    }
}

#[async_trait]
impl Engine for LocalEngine {
    async fn create(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        let _guard = self.locks.lock(&spec.id).await;
        if matches!(self.find(&spec.id).await?, Found::Alive(_)) {
            return Ok(());
        }
        self.unmake(&spec.id, Logs::Keep).await?;
        let Err(error) = self.make(spec).await else { return Ok(()) };
        if let Err(leftovers) = self.unmake(&spec.id, Logs::Keep).await {
            tracing::warn!(container = %spec.id, %leftovers, "a container that could not be made was not removed");
        }
        Err(error)
    }

    async fn start(&self, id: &ContainerId) -> Result<SocketAddr, EngineError> {
        let _guard = self.locks.lock(id).await;
        loop {
            let mut talk = match self.find(id).await? {
                Found::Alive(talk) => talk,
                Found::Ended(exit) => return Err(EngineError::Exited(exit)),
                Found::Orphaned => return Err(EngineError::Exited(self.end_orphan(id).await?)),
                Found::Nothing | Found::HalfMade => return Err(EngineError::Unknown(id.clone())),
            };
            match talk.ask(&Ask::Start, PATIENCE).await? {
                Some(Answer::Started) => return self.address(&self.places.run_of(id)),
                Some(Answer::Failed(trouble)) => return Err(trouble.into()),
                Some(other) => return Err(unexpected(&other)),
                None => {}
            }
        }
    }

    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<(), EngineError> {
        match self.find(id).await? {
            Found::Nothing | Found::HalfMade | Found::Ended(_) => Ok(()),
            Found::Orphaned => self.end_orphan(id).await.map(|_| ()),
            Found::Alive(mut talk) => {
                let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
                // No answer means that the supervisor went meanwhile, and with it the container.
                talk.ask(&Ask::Stop { grace_ms }, grace.saturating_add(PATIENCE)).await.map(|_| ())
            }
        }
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), EngineError> {
        let _guard = self.locks.lock(id).await;
        self.unmake(id, Logs::Remove).await
    }

    async fn status(&self, id: &ContainerId) -> Result<Status, EngineError> {
        loop {
            let mut talk = match self.find(id).await? {
                Found::Nothing => return Ok(Status::Absent),
                Found::HalfMade => return Ok(Status::Created),
                Found::Ended(exit) => return Ok(Status::Exited(exit)),
                Found::Orphaned => return self.end_orphan(id).await.map(Status::Exited),
                Found::Alive(talk) => talk,
            };
            match talk.ask(&Ask::State, PATIENCE).await? {
                Some(Answer::State { is_started: false, .. }) => return Ok(Status::Created),
                Some(Answer::State { is_started: true, .. }) => {
                    return Ok(Status::Running { address: self.address(&self.places.run_of(id))? });
                }
                Some(other) => return Err(unexpected(&other)),
                None => {}
            }
        }
    }

    async fn wait(&self, id: &ContainerId) -> Result<Exit, EngineError> {
        loop {
            let mut talk = match self.find(id).await? {
                Found::Nothing | Found::HalfMade => return Err(EngineError::Unknown(id.clone())),
                Found::Ended(exit) => return Ok(exit),
                Found::Orphaned => return self.end_orphan(id).await,
                Found::Alive(talk) => talk,
            };
            match talk.ask_patiently(&Ask::Wait).await? {
                Some(Answer::Ended { exit }) => return Ok(exit),
                Some(other) => return Err(unexpected(&other)),
                None => {}
            }
        }
    }

    async fn list(&self) -> Result<Vec<ContainerId>, EngineError> {
        self.places.list().doing(|| "listing containers".to_owned())
    }

    async fn listening(&self, id: &ContainerId) -> Result<Vec<SocketAddr>, EngineError> {
        let Found::Alive(mut talk) = self.find(id).await? else { return Ok(Vec::new()) };
        let Some(Answer::State { pid, .. }) = talk.ask(&Ask::State, PATIENCE).await? else {
            return Ok(Vec::new());
        };
        // The supervisor is in the container's network namespace, and as long as it answers the number is its.
        let table = |name: &str| fs::read_to_string(format!("/proc/{pid}/net/{name}")).unwrap_or_default();
        Ok(["tcp", "tcp6"].iter().flat_map(|name| listening::parse(&table(name))).collect())
    }

    async fn logs(&self, id: &ContainerId, query: &LogQuery) -> Result<Vec<LogLine>, EngineError> {
        let (folder, query) = (self.places.data_of(id).logs(), query.clone());
        let doing = || format!("reading the log of container {id}");
        tokio::task::spawn_blocking(move || logs::read(&folder, &query)).await.doing(doing)?.doing(doing)
    }

    async fn mend(&self) -> Result<(), EngineError> {
        if self.places.links().doing(|| "listing containers".to_owned())?.is_empty() {
            return Ok(());
        }
        firewall::load(&self.nft()?, &self.config.instance, self.subnet().await?).await?;
        host::enable_forwarding()
    }

    async fn down(&self) -> Result<(), EngineError> {
        self.remove_everything().await
    }

    async fn check(&self) -> Vec<Check> {
        self.check_machine().await
    }
}

fn unexpected(answer: &Answer) -> EngineError {
    EngineError::host("talking to the container's supervisor", format!("it answered {answer:?}"))
}
