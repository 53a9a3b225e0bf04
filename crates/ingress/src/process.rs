//! The process: its options, its start and its end.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::build;
use crate::control::protocol::{Hello, PROTOCOL};
use crate::control::server::{self, Control};
use crate::error::IngressError;
use crate::handover::{self, Belongings, Predecessor, Taken};
use crate::limits::Limits;
use crate::listener;
use crate::log_file;
use crate::proxy::Proxy;
use crate::saved;
use crate::table::RouteTable;
use crate::timeouts::Timeouts;

const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// What an ingress needs to know at its start; everything else comes over the control socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessConfig {
    /// Public address. Port 0 lets the kernel choose; [`crate::Hello::http`] has the choice.
    pub http: SocketAddr,
    /// Unix socket for the control plane, made with mode 0600. Its folder must exist.
    pub control: PathBuf,
    /// Folder of the saved routes; made with mode 0700 when it is missing.
    pub state: PathBuf,
}

impl ProcessConfig {
    /// The options of the role on its command line.
    pub(crate) fn to_args(&self) -> [OsString; 6] {
        [
            "--http".into(),
            self.http.to_string().into(),
            "--control".into(),
            self.control.clone().into(),
            "--state".into(),
            self.state.clone().into(),
        ]
    }
}

/// Runs the ingress until SIGTERM, SIGINT or the control plane's word. To be called in a process of its own,
/// before there is a runtime. With a connection to a running ingress as standard input it takes over from that one.
pub fn run(config: ProcessConfig) -> Result<(), IngressError> {
    detach();
    log_file::shorten();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(IngressError::io("start", "its runtime"))?.block_on(async {
        let ingress = match handover::offered(&config.control) {
            Some(running) => Ingress::take_over(config, running).await?,
            None => Ingress::start(config, Timeouts::default(), Limits::default()).await?,
        };
        handover::let_go_of_input().map_err(IngressError::io("put in place of its input", "/dev/null"))?;
        tracing::info!(http = %ingress.hello().http, "the ingress listens");
        tokio::select! {
            told = ingress.wait_for_the_end() => told?,
            () = ingress.leave_when_replaced() => {}
            () = keep_log_short() => {}
        }
        ingress.stop().await;
        Ok(())
    })
}

/// Leaves the session of whoever started us, keeps what we make private, and takes as many open files as we may.
///
/// None of it is vital: a service manager may have done it, or may not want it.
fn detach() {
    let _ = rustix::process::setsid();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let mut files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    files.current = files.maximum;
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, files);
}

/// A running ingress. [`run`] is all that the product needs; tests start one inside their own process.
pub struct Ingress {
    control: Arc<Control>,
    listeners: [JoinHandle<()>; 2],
}

impl Ingress {
    /// Listens on both addresses, with the saved routes in force.
    pub async fn start(
        config: ProcessConfig,
        timeouts: Timeouts,
        limits: Limits,
    ) -> Result<Self, IngressError> {
        let lock = lock(&config)?;
        let public = match handover::inherited(config.http) {
            Some(public) => public,
            None => listen(config.http)
                .await
                .map_err(|source| IngressError::Listen { address: config.http, source })?,
        };
        let table = saved::load(&config.state);
        let proxy = Proxy::new(timeouts, limits);
        Self::serve(config, proxy, Belongings { public, lock }, table, None).await
    }

    /// Takes the place of a running ingress, with its routes in force. If this fails, that one goes on.
    async fn take_over(
        config: ProcessConfig,
        running: std::os::unix::net::UnixStream,
    ) -> Result<Self, IngressError> {
        let Taken { belongings, table, predecessor } = handover::take(running).await?;
        let proxy = Proxy::new(Timeouts::default(), Limits::default());
        Self::serve(config, proxy, belongings, table, Some(predecessor)).await
    }

    async fn serve(
        config: ProcessConfig,
        proxy: Proxy,
        belongings: Belongings,
        table: RouteTable,
        predecessor: Option<Predecessor>,
    ) -> Result<Self, IngressError> {
        let listen_error = |source| IngressError::Listen { address: config.http, source };
        let public = belongings.listener().map_err(listen_error)?;
        let hello = hello(public.local_addr().map_err(listen_error)?);
        let socket = server::bind(&config.control)?;

        let proxy = Arc::new(proxy);
        proxy.publish(table);
        let stop = CancellationToken::new();
        let control = Arc::new(Control {
            proxy: proxy.clone(),
            hello,
            state: config.state,
            socket: config.control,
            publishing: Default::default(),
            belongings: Some(belongings).into(),
            predecessor,
            stop: stop.clone(),
        });
        let listening = proxy.tasks.spawn(listener::listen(public, proxy.clone(), stop.clone()));
        tokio::spawn(sweep(proxy.clone(), stop));
        if let Some(predecessor) = &control.predecessor
            && let Err(error) = predecessor.took_over().await
        {
            proxy.leaving.cancel();
            control.finish(proxy.timeouts.leave).await;
            return Err(error);
        }
        // Only now, so that who is answered here knows that the handover is over.
        let answering = tokio::spawn(server::listen(socket, control.clone()));
        Ok(Self { control, listeners: [listening, answering] })
    }

    /// Who this is.
    pub fn hello(&self) -> &Hello {
        &self.control.hello
    }

    /// Returns when a signal or the control plane says that it is time.
    async fn wait_for_the_end(&self) -> Result<(), IngressError> {
        let signals = || Ok((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?));
        let (mut terminate, mut interrupt) = signals().map_err(IngressError::io("wait for", "signals"))?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = self.control.stop.cancelled() => {}
        }
        Ok(())
    }

    /// Once another ingress took over: returns when all that this one had is finished, or [`Timeouts::leave`] is over.
    async fn leave_when_replaced(&self) {
        let proxy = &self.control.proxy;
        proxy.leaving.cancelled().await;
        let predecessor_is_gone = async {
            if let Some(predecessor) = &self.control.predecessor {
                predecessor.gone().await;
            }
        };
        tokio::join!(self.control.finish(proxy.timeouts.leave), async {
            let _ = tokio::time::timeout(proxy.timeouts.leave, predecessor_is_gone).await;
        });
    }

    /// Takes no more connections, frees address and state folder for a successor, and then finishes what is in
    /// flight, for [`Timeouts::finish`] at most.
    pub async fn stop(self) {
        let Self { control, listeners } = self;
        // A handover under way is decided first: it settles whose the control socket is.
        let is_replaced = {
            let _decided = control.publishing.lock().await;
            control.proxy.leaving.is_cancelled()
        };
        control.stop.cancel();
        for listener in listeners {
            let _ = listener.await;
        }
        if !is_replaced {
            let _ = fs::remove_file(&control.socket);
        }
        control.let_go();
        if let Some(predecessor) = &control.predecessor {
            predecessor.shut_down().await;
        }
        control.finish(control.proxy.timeouts.finish).await;
    }
}

async fn listen(http: SocketAddr) -> std::io::Result<OwnedFd> {
    Ok(TcpListener::bind(http).await?.into_std()?.into())
}

impl Control {
    /// Waits for connections and tunnels, so long at most.
    async fn finish(&self, within: Duration) {
        let tasks = &self.proxy.tasks;
        tasks.close();
        if tokio::time::timeout(within, tasks.wait()).await.is_err() {
            tracing::warn!(left = tasks.len(), "connections are cut at the end");
        }
    }
}

fn hello(http: SocketAddr) -> Hello {
    Hello {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        build: build::own(),
        pid: std::process::id(),
        http,
        routes: 0,
    }
}

async fn sweep(proxy: Arc<Proxy>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => proxy.forwarder.sweep(),
            () = stop.cancelled() => return,
        }
    }
}

/// Never returns.
async fn keep_log_short() {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    loop {
        ticks.tick().await;
        let _ = tokio::task::spawn_blocking(log_file::shorten).await;
    }
}

/// Whether no ingress holds the state folder.
pub(crate) fn is_free(config: &ProcessConfig) -> Result<bool, IngressError> {
    match lock(config) {
        Ok(lock) => {
            // By name and not by closing: a child that another thread is about to start has a copy of the lock
            // until it runs its program, and the ingress that is started next would find it taken.
            lock.unlock().map_err(IngressError::io("unlock", &config.state))?;
            Ok(true)
        }
        Err(IngressError::AlreadyRunning(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// At most one ingress has a state folder. The lock goes with the process, however it ends.
fn lock(config: &ProcessConfig) -> Result<File, IngressError> {
    let folder = &config.state;
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(IngressError::io("make", folder))?;
    let path = folder.join("ingress.lock");
    let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = open.map_err(IngressError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(IngressError::AlreadyRunning(folder.clone())),
        Err(TryLockError::Error(source)) => Err(IngressError::Io { doing: "lock", path, source }),
    }
}
