//! The control plane's side: finds or starts the ingress, publishes routes, drains, and asks through it.

mod spawn;
mod through;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::BufReader;
use tokio::net::UnixStream;

use crate::control::protocol::{self, Ask, PROTOCOL, Reply};
pub use crate::control::protocol::{Drained, Hello};
use crate::error::IngressError;
use crate::process::ProcessConfig;
use crate::table::RouteTable;
pub use through::ThroughFailure;

/// A quick question must not wait for ever for a process that hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How to start an ingress: program, the words before its options, and where its log goes.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Absolute path.
    pub program: PathBuf,
    /// Such as `["ingress"]`; `--http`, `--control` and `--state` are added.
    pub args: Vec<String>,
    /// File that gets the standard error of the process; nothing is kept when it is `None`.
    pub log: Option<PathBuf>,
}

/// Talks to the ingress process, each question on a connection of its own, so that a restarted ingress needs
/// no reconnecting. Dropping it leaves the process alone.
#[derive(Debug)]
pub struct Client {
    launch: Launch,
    config: ProcessConfig,
    /// Two tables must not overtake each other.
    publishing: tokio::sync::Mutex<()>,
}

impl Client {
    /// For an ingress that may or may not run; nothing is started before [`Client::ensure`].
    pub fn new(launch: Launch, config: ProcessConfig) -> Self {
        Self { launch, config, publishing: tokio::sync::Mutex::default() }
    }

    /// Finds the ingress that runs on this control socket, or starts one and waits until it is ready.
    ///
    /// One that listens on another address than configured, or speaks another protocol, is replaced.
    pub async fn connect_or_spawn(launch: Launch, config: ProcessConfig) -> Result<Self, IngressError> {
        let client = Self::new(launch, config);
        client.ensure().await?;
        Ok(client)
    }

    /// Starts the ingress again if it is gone. `true`: it was, and it serves the table that it had saved,
    /// without candidates; publish again.
    pub async fn ensure(&self) -> Result<bool, IngressError> {
        match self.hello().await {
            Ok(hello) if self.suits(&hello) => return Ok(false),
            Ok(hello) => {
                tracing::info!(pid = hello.pid, http = %hello.http, "replacing the ingress that runs");
                self.shutdown().await?;
            }
            // One that was killed may take a moment to be gone.
            Err(IngressError::NotRunning { .. }) => spawn::wait_until_gone(&self.config).await?,
            Err(error) => return Err(error),
        }
        spawn::spawn(&self.launch, &self.config, self).await?;
        Ok(true)
    }

    /// Who is there.
    pub async fn hello(&self) -> Result<Hello, IngressError> {
        match self.ask("hello", &Ask::Hello, ANSWER_TIMEOUT).await? {
            Reply::Hello(hello) => Ok(hello),
            other => Err(unexpected("hello", other)),
        }
    }

    /// The table in force, without candidates: what a control plane that was started again begins with, so that
    /// its first publication takes no application off the air.
    pub async fn routes(&self) -> Result<RouteTable, IngressError> {
        match self.ask("routes", &Ask::Routes, ANSWER_TIMEOUT).await? {
            Reply::Routes { table } => Ok(table),
            other => Err(unexpected("routes", other)),
        }
    }

    /// Replaces all routes at once. When it returns, every new request follows the new table, and every
    /// earlier one is counted as in flight for its backend.
    pub async fn publish(&self, table: &RouteTable) -> Result<(), IngressError> {
        let _in_order = self.publishing.lock().await;
        let ask = Ask::Publish { table: table.clone() };
        match self.ask("publish", &ask, ANSWER_TIMEOUT).await? {
            Reply::Published { problem: None } => Ok(()),
            Reply::Published { problem: Some(problem) } => {
                tracing::warn!(problem, "the routes are in force, but could not be saved");
                Ok(())
            }
            other => Err(unexpected("publish", other)),
        }
    }

    /// Waits until nothing is in flight for a backend that is no longer routed, at most until the deadline.
    /// An unknown backend is drained.
    pub async fn drain(&self, backend: &str, deadline: Duration) -> Result<Drained, IngressError> {
        let deadline_ms = deadline.as_millis().try_into().unwrap_or(u64::MAX);
        let ask = Ask::Drain { backend: backend.to_owned(), deadline_ms };
        match self.ask("drain", &ask, deadline.saturating_add(ANSWER_TIMEOUT)).await? {
            Reply::Drained(drained) => Ok(drained),
            other => Err(unexpected("drain", other)),
        }
    }

    /// Sends a GET to the public address, as anybody could, and gives the application's status.
    ///
    /// `candidate` is a token of [`RouteTable::candidates`]; without it the request follows the routes.
    pub async fn request_through(
        &self,
        host: &str,
        candidate: Option<&str>,
        path: &str,
        timeout: Duration,
    ) -> Result<u16, ThroughFailure> {
        let hello = self.hello().await.map_err(|error| ThroughFailure::NoIngress(error.to_string()))?;
        through::request(hello.http, host, candidate, path, timeout).await
    }

    /// Ends the process: it finishes what is in flight, for some seconds at most. Returns when its address is free.
    pub async fn shutdown(&self) -> Result<(), IngressError> {
        match self.ask("shutdown", &Ask::Shutdown, ANSWER_TIMEOUT).await? {
            Reply::ShuttingDown => spawn::wait_until_gone(&self.config).await,
            other => Err(unexpected("shutdown", other)),
        }
    }

    fn suits(&self, hello: &Hello) -> bool {
        let wanted = self.config.http;
        let same_port = wanted.port() == 0 || wanted.port() == hello.http.port();
        hello.protocol == PROTOCOL && same_port && wanted.ip() == hello.http.ip()
    }

    async fn ask(&self, asked: &'static str, ask: &Ask, within: Duration) -> Result<Reply, IngressError> {
        let socket = &self.config.control;
        let not_running = |source| IngressError::NotRunning { socket: socket.clone(), source };
        let broken = |problem: String| IngressError::Protocol { asked, problem };
        let mut stream = BufReader::new(UnixStream::connect(socket).await.map_err(not_running)?);
        let exchange = async {
            protocol::write(&mut stream, ask).await?;
            protocol::read::<Reply>(&mut stream).await
        };
        match tokio::time::timeout(within, exchange).await {
            Ok(Ok(Some(reply))) => Ok(reply),
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => Err(broken(error.to_string())),
            // It ended while it was asked.
            Ok(Err(error)) => Err(not_running(error)),
            Ok(Ok(None)) => Err(not_running(io::ErrorKind::UnexpectedEof.into())),
            Err(_) => Err(broken(format!("nothing for {} s", within.as_secs()))),
        }
    }
}

fn unexpected(asked: &'static str, reply: Reply) -> IngressError {
    let problem = match reply {
        Reply::Refused { problem } => problem,
        _ => "the reply of another question".to_owned(),
    };
    IngressError::Protocol { asked, problem }
}
