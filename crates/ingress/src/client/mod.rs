//! The control plane's side: finds or starts the ingress, publishes routes, drains, and asks through it.

mod hung;
mod queue;
mod spawn;
mod through;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::BufReader;
use tokio::net::UnixStream;

use crate::build;
use crate::control::protocol::{self, Ask, PROTOCOL, Reply};
pub use crate::control::protocol::{Drained, Hello};
use crate::error::IngressError;
use crate::handover;
use crate::process::ProcessConfig;
use crate::table::RouteTable;
use queue::Queue;
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
    /// Two tables must not overtake each other, and none a handover.
    publishing: tokio::sync::Mutex<()>,
    /// Whether the ingress that runs was compared with the program on disk. Once is enough, and asks for one handover
    /// at most: a program that fails is not tried again and again.
    is_compared: AtomicBool,
    queue: Queue,
}

impl Client {
    /// For an ingress that may or may not run; nothing is started before [`Client::ensure`].
    pub fn new(launch: Launch, config: ProcessConfig) -> Self {
        Self {
            launch,
            config,
            publishing: tokio::sync::Mutex::default(),
            is_compared: AtomicBool::new(false),
            queue: Queue::default(),
        }
    }

    /// Finds the ingress that runs on this control socket, or starts one and waits until it is ready.
    ///
    /// One that was started from another build of the program hands over to a new one, which costs no request. One
    /// that listens on another address than configured, or speaks another protocol, is ended first.
    pub async fn connect_or_spawn(launch: Launch, config: ProcessConfig) -> Result<Self, IngressError> {
        let client = Self::new(launch, config);
        client.ensure().await?;
        Ok(client)
    }

    /// Starts the ingress again if it is gone. `true`: it was, and it serves the table that it had saved,
    /// without candidates; publish again.
    ///
    /// The first time, an ingress of another build is replaced. If that fails it goes on, which is no error.
    ///
    /// One that hangs is killed and started again; one that was stopped is told to go on.
    ///
    /// While it fails, people wait at the public address; no longer than half a minute, then they are refused.
    pub async fn ensure(&self) -> Result<bool, IngressError> {
        let ensured = self.ensure_once().await;
        self.queue.note(ensured.is_ok(), Instant::now());
        ensured
    }

    async fn ensure_once(&self) -> Result<bool, IngressError> {
        let is_compared = self.is_compared.swap(true, Ordering::Relaxed);
        match spawn::find(&self.config, self).await? {
            Some(hello) if self.suits(&hello) => {
                if !is_compared && self.is_other_build(&hello) {
                    self.upgrade(&hello).await;
                }
                if self.queue.public().is_none() {
                    self.borrow_public_socket().await;
                }
                return Ok(false);
            }
            Some(hello) => {
                tracing::info!(pid = hello.pid, http = %hello.http, "replacing the ingress that runs");
                self.shutdown().await?;
            }
            None => {}
        }
        spawn::spawn(&self.launch, &self.config, self, self.queue.public()).await?;
        self.borrow_public_socket().await;
        Ok(true)
    }

    /// Without it everything works, only that people are refused while no ingress runs.
    async fn borrow_public_socket(&self) {
        let borrow = async { handover::borrow(UnixStream::connect(&self.config.control).await?).await };
        match tokio::time::timeout(ANSWER_TIMEOUT, borrow).await {
            Ok(Ok(public)) => self.queue.keep(public),
            Ok(Err(error)) => tracing::debug!(%error, "the ingress does not lend its socket"),
            Err(_) => tracing::debug!("the ingress does not lend its socket in time"),
        }
    }

    /// Has the ingress that runs hand over to a new process: no connection is refused and no request lost. It finishes
    /// what it has by itself. Table and candidates stay in force. On an error it goes on serving.
    pub async fn replace(&self) -> Result<(), IngressError> {
        let _in_order = self.publishing.lock().await;
        let socket = &self.config.control;
        let running = UnixStream::connect(socket)
            .await
            .and_then(UnixStream::into_std)
            .map_err(|source| IngressError::NotRunning { socket: socket.clone(), source })?;
        spawn::spawn_successor(&self.launch, &self.config, self, running).await
    }

    async fn upgrade(&self, hello: &Hello) {
        tracing::info!(pid = hello.pid, build = hello.build, "replacing the ingress of another build");
        if let Err(error) = self.replace().await {
            tracing::warn!(%error, "the ingress that runs could not be replaced and goes on");
        }
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
        let began = Instant::now();
        match self.drain_once(backend, deadline).await {
            // One that handed over meanwhile may be done and gone before it could say so. Its successor knows.
            Err(IngressError::NotRunning { .. }) => {
                self.drain_once(backend, deadline.saturating_sub(began.elapsed())).await
            }
            drained => drained,
        }
    }

    async fn drain_once(&self, backend: &str, deadline: Duration) -> Result<Drained, IngressError> {
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
    /// One that is starting is waited for. [`IngressError::NotRunning`]: there is none.
    pub async fn shutdown(&self) -> Result<(), IngressError> {
        // First, and even if there is no ingress: nobody is to wait for one any more.
        self.queue.close();
        // One that does not answer yet would be out of reach once its control socket is taken for a leftover.
        spawn::find(&self.config, self).await?;
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

    /// `false` also when the program is not there to be compared with.
    fn is_other_build(&self, hello: &Hello) -> bool {
        build::of(&self.launch.program).is_some_and(|build| build != hello.build)
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
            Err(_) => Err(IngressError::Silent { asked, seconds: within.as_secs() }),
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
