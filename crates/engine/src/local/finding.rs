//! Where a container stands, told from its files and from whether its supervisor answers.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use model::{ContainerId, Timestamp};

use super::Local;
use super::clear::remove_tree;
use super::making::is_whole;
use super::subnet::Link;
use super::talk::Talk;
use super::unmaking::end_processes;
use crate::error::Doing;
use crate::folders::{RunFolder, read_json, write_whole};
use crate::shim::protocol::{Answer, Ask, milliseconds};
use crate::{ContainerSpec, EngineError, Exit, Status};

/// How long a supervisor may take to answer, and longer than `grace` to stop.
const PATIENCE: Duration = Duration::from_secs(20);

/// Pause before another look at a container whose supervisor went in the middle of a question.
const AGAIN: Duration = Duration::from_millis(5);

/// What is there of a container.
pub(super) enum Found {
    Nothing,
    /// Making it did not come to its end.
    HalfMade,
    /// Whole, and its supervisor answers.
    Alive(Talk),
    Ended(Exit),
    /// Whole, but nobody supervises it.
    Orphaned,
}

impl Local {
    pub(super) async fn find(&self, id: &ContainerId) -> Result<Found, EngineError> {
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

    /// Whether the container is whole and its supervisor answers. One that takes a connection and does not answer
    /// is just being killed, or good for nothing.
    pub(super) async fn is_alive(&self, id: &ContainerId) -> Result<bool, EngineError> {
        let Found::Alive(mut talk) = self.find(id).await? else { return Ok(false) };
        Ok(matches!(talk.ask(&Ask::State, PATIENCE).await, Ok(Some(_))))
    }

    /// Ends a container whose supervisor was killed, unless that was done meanwhile.
    pub(super) async fn end_orphan(&self, id: &ContainerId) -> Result<(), EngineError> {
        let _guard = self.locks.lock(id).await;
        match self.find(id).await? {
            Found::Orphaned => self.end_held_orphan(id).await.map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Somebody killed the supervisor. Nobody reads the output any more and nobody would see the end, so the
    /// container is ended, and it is said why. The caller holds the container's lock, so that nobody makes it anew
    /// meanwhile.
    async fn end_held_orphan(&self, id: &ContainerId) -> Result<Exit, EngineError> {
        tracing::warn!(container = %id, "the supervisor was killed; the container is ended too");
        let (run, group) = (self.places.run_of(id), self.places.cgroup_of(id));
        let state = self.places.runtime_root().join(id.as_str());
        let doing = || format!("ending container {id}, whose supervisor was killed");
        let lock = self.without_supervisor(&run).await?;
        let end = move || -> std::io::Result<Exit> {
            let _lock = lock;
            end_processes(&group)?;
            remove_tree(&state)?;
            let detail = Some("its supervisor was killed".to_owned());
            let exit = Exit { code: 137, out_of_memory: false, at: Timestamp::now(), detail };
            write_whole(&run.exit(), &serde_json::to_vec(&exit)?)?;
            Ok(exit)
        };
        tokio::task::spawn_blocking(end).await.doing(doing)?.doing(doing)
    }

    fn address(&self, run: &RunFolder) -> Result<SocketAddr, EngineError> {
        let doing = || "reading the container's address".to_owned();
        let gone = || EngineError::host(doing(), "it is gone");
        let link: Link = read_json(&run.network()).doing(doing)?.ok_or_else(gone)?;
        let spec: ContainerSpec = read_json(&run.spec()).doing(doing)?.ok_or_else(gone)?;
        Ok(SocketAddr::new(link.address.into(), spec.port))
    }

    /// See [`Engine::status`](crate::Engine::status).
    pub(super) async fn status(&self, id: &ContainerId) -> Result<Status, EngineError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut talk = match self.find(id).await? {
                Found::Nothing => return Ok(Status::Absent),
                Found::HalfMade => return Ok(Status::Created),
                Found::Ended(exit) => return Ok(Status::Exited(exit)),
                Found::Orphaned => {
                    self.end_orphan(id).await?;
                    continue;
                }
                Found::Alive(talk) => talk,
            };
            match talk.ask(&Ask::State, PATIENCE).await? {
                Some(Answer::State { is_started: false, .. }) => return Ok(Status::Created),
                Some(Answer::State { is_started: true, .. }) => {
                    return Ok(Status::Running { address: self.address(&self.places.run_of(id))? });
                }
                Some(other) => return Err(unexpected(&other)),
                None => again(deadline).await?,
            }
        }
    }

    /// See [`Engine::start`](crate::Engine::start). The caller holds the container's lock.
    pub(super) async fn start(&self, id: &ContainerId) -> Result<SocketAddr, EngineError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut talk = match self.find(id).await? {
                Found::Alive(talk) => talk,
                Found::Ended(exit) => return Err(EngineError::Exited(exit)),
                Found::Orphaned => return Err(EngineError::Exited(self.end_held_orphan(id).await?)),
                Found::Nothing | Found::HalfMade => return Err(EngineError::Unknown(id.clone())),
            };
            match talk.ask(&Ask::Start, PATIENCE).await? {
                Some(Answer::Started) => return self.address(&self.places.run_of(id)),
                Some(Answer::Failed(trouble)) => return Err(trouble.into()),
                Some(other) => return Err(unexpected(&other)),
                None => again(deadline).await?,
            }
        }
    }

    /// See [`Engine::stop`](crate::Engine::stop).
    pub(super) async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<(), EngineError> {
        match self.find(id).await? {
            Found::Nothing | Found::HalfMade | Found::Ended(_) => Ok(()),
            Found::Orphaned => self.end_orphan(id).await,
            Found::Alive(mut talk) => {
                let grace_ms = milliseconds(grace);
                match talk.ask(&Ask::Stop { grace_ms }, grace.saturating_add(PATIENCE)).await {
                    // No answer means that the supervisor went meanwhile, and with it the container.
                    Ok(Some(_)) => Ok(()),
                    Ok(None) => self.end_orphan(id).await,
                    Err(_) => {
                        talk.kill_supervisor(PATIENCE).await?;
                        self.end_orphan(id).await
                    }
                }
            }
        }
    }

    /// See [`Engine::wait`](crate::Engine::wait).
    pub(super) async fn wait(&self, id: &ContainerId) -> Result<Exit, EngineError> {
        loop {
            let mut talk = match self.find(id).await? {
                Found::Nothing | Found::HalfMade => return Err(EngineError::Unknown(id.clone())),
                Found::Ended(exit) => return Ok(exit),
                Found::Orphaned => {
                    self.end_orphan(id).await?;
                    continue;
                }
                Found::Alive(talk) => talk,
            };
            match talk.ask_patiently(&Ask::Wait).await? {
                Some(Answer::Ended { exit }) => return Ok(exit),
                Some(other) => return Err(unexpected(&other)),
                None => tokio::time::sleep(AGAIN).await,
            }
        }
    }

    /// See [`Engine::listening`](crate::Engine::listening).
    pub(super) async fn listening(&self, id: &ContainerId) -> Result<Vec<SocketAddr>, EngineError> {
        let Found::Alive(mut talk) = self.find(id).await? else { return Ok(Vec::new()) };
        let Some(Answer::State { pid, .. }) = talk.ask(&Ask::State, PATIENCE).await? else {
            return Ok(Vec::new());
        };
        // The supervisor is in the container's network namespace, and as long as it answers the number is its.
        let table = |name: &str| fs::read_to_string(format!("/proc/{pid}/net/{name}")).unwrap_or_default();
        Ok(["tcp", "tcp6"].iter().flat_map(|name| super::listening::parse(&table(name))).collect())
    }
}

/// Waits a moment before another look, but not for ever: a supervisor that ends is gone at once, and one that closes
/// one connection after the other is not in order.
pub(super) async fn again(deadline: Instant) -> Result<(), EngineError> {
    if Instant::now() > deadline {
        return Err(EngineError::host("talking to the container's supervisor", "it closes every connection"));
    }
    tokio::time::sleep(AGAIN).await;
    Ok(())
}

pub(super) fn unexpected(answer: &Answer) -> EngineError {
    EngineError::host("talking to the container's supervisor", format!("it answered {answer:?}"))
}
