//! Starting the ingress as a process of its own, which outlives the control plane.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use super::{Client, Hello, Launch, hung};
use crate::error::IngressError;
use crate::process::{self, ProcessConfig};

const READY_TIMEOUT: Duration = Duration::from_secs(10);

/// An ingress that ends lets go of its state folder before it finishes what is in flight.
const GONE_TIMEOUT: Duration = Duration::from_secs(5);

/// Starts the process and waits until it answers.
///
/// It gets no variable and no open file of ours but the public socket that an ingress had before it; it leaves our
/// session by itself, so that a Ctrl-C meant for the control plane passes it by.
pub(super) async fn spawn(
    launch: &Launch,
    config: &ProcessConfig,
    client: &Client,
    public: Option<OwnedFd>,
) -> Result<(), IngressError> {
    let mut child = start(launch, config, public.map_or_else(Stdio::null, Stdio::from))?;
    wait_until_ready(&mut child, launch, client, |_| true).await
}

/// Starts a process that takes over from the running one, whose control connection it gets as standard input, and
/// waits until it has. One that does not in time is killed, which tells the running one to go on.
pub(super) async fn spawn_successor(
    launch: &Launch,
    config: &ProcessConfig,
    client: &Client,
    running: UnixStream,
) -> Result<(), IngressError> {
    let mut child = start(launch, config, OwnedFd::from(running).into())?;
    let pid = child.id().unwrap_or_default();
    let ready = wait_until_ready(&mut child, launch, client, |hello| hello.pid == pid).await;
    if ready.is_err() {
        let _ = child.kill().await;
    }
    ready
}

fn start(launch: &Launch, config: &ProcessConfig, input: Stdio) -> Result<Child, IngressError> {
    Command::new(&launch.program)
        .args(&launch.args)
        .args(config.to_args())
        .env_clear()
        .current_dir("/")
        .stdin(input)
        .stdout(Stdio::null())
        .stderr(log(launch.log.as_deref())?)
        .spawn()
        .map_err(IngressError::io("start", &launch.program))
}

async fn wait_until_ready(
    child: &mut Child,
    launch: &Launch,
    client: &Client,
    is_it: impl Fn(&Hello) -> bool,
) -> Result<(), IngressError> {
    let started = Instant::now();
    loop {
        match client.hello().await {
            Ok(hello) if is_it(&hello) => return Ok(()),
            // One that was there before.
            Ok(_) => {}
            Err(IngressError::NotRunning { .. }) => {}
            Err(error) => return Err(error),
        }
        if let Ok(Some(status)) = child.try_wait() {
            return Err(IngressError::NotStarted(format!("it ended with {status}{}", last_words(launch))));
        }
        if started.elapsed() > READY_TIMEOUT {
            let problem = format!("it is not ready after {} s", READY_TIMEOUT.as_secs());
            return Err(IngressError::NotStarted(problem + &last_words(launch)));
        }
        tokio::time::sleep(pause(started.elapsed())).await;
    }
}

/// The ingress that runs; `None` when there is none.
///
/// One that was killed may take a moment to be gone. And one whose successor was killed while it took over does not
/// answer for a moment, until it has its control socket back. One that hangs is killed.
pub(super) async fn find(config: &ProcessConfig, client: &Client) -> Result<Option<Hello>, IngressError> {
    let started = Instant::now();
    loop {
        match client.hello().await {
            Ok(hello) => return Ok(Some(hello)),
            Err(IngressError::NotRunning { .. }) => {}
            Err(IngressError::Silent { .. }) => {
                if let Some(hello) = hung::wake_or_kill(config, client).await? {
                    return Ok(Some(hello));
                }
            }
            Err(error) => return Err(error),
        }
        if process::is_free(config)? {
            return Ok(None);
        }
        if started.elapsed() > READY_TIMEOUT {
            return Err(IngressError::AlreadyRunning(config.state.clone()));
        }
        tokio::time::sleep(pause(started.elapsed())).await;
    }
}

/// Waits until the process let go of its state folder.
pub(super) async fn wait_until_gone(config: &ProcessConfig) -> Result<(), IngressError> {
    let started = Instant::now();
    while !process::is_free(config)? {
        if started.elapsed() > GONE_TIMEOUT {
            return Err(IngressError::AlreadyRunning(config.state.clone()));
        }
        tokio::time::sleep(pause(started.elapsed())).await;
    }
    Ok(())
}

/// A process is ready within milliseconds or has a reason to be slow.
fn pause(waited: Duration) -> Duration {
    match waited < Duration::from_secs(1) {
        true => Duration::from_millis(2),
        false => Duration::from_millis(50),
    }
}

fn log(path: Option<&Path>) -> Result<Stdio, IngressError> {
    let Some(path) = path else { return Ok(Stdio::null()) };
    let open = || -> io::Result<File> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        OpenOptions::new().create(true).append(true).mode(0o600).open(path)
    };
    Ok(open().map_err(IngressError::io("open the log", path))?.into())
}

/// The last line of the log, as the start of an explanation.
fn last_words(launch: &Launch) -> String {
    let Some(path) = &launch.log else { return String::new() };
    let text = std::fs::read(path).unwrap_or_default();
    let tail = String::from_utf8_lossy(&text[text.len().saturating_sub(4096)..]).into_owned();
    match tail.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => format!("; its last words: {}", line.trim()),
        None => String::new(),
    }
}
