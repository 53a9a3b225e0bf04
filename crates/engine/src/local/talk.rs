//! The engine's side of the connection to a supervisor.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::EngineError;
use crate::error::Doing;
use crate::folders::{RunFolder, SOCKET};
use crate::shim::protocol::{Answer, Ask};

/// How often one looks whether a supervisor that does not answer was stopped.
const WAKE_EVERY: Duration = Duration::from_secs(2);

/// An open connection.
pub(super) struct Talk {
    stream: BufReader<UnixStream>,
}

impl Talk {
    /// `None` when nobody listens: the supervisor has ended, or has not begun to listen.
    pub async fn connect(run: &RunFolder) -> Result<Option<Self>, EngineError> {
        match Self::try_connect(run).await {
            Ok(stream) => Ok(Some(Self { stream: BufReader::new(stream) })),
            Err(error) if is_nobody(&error) => Ok(None),
            Err(error) => Err(EngineError::host("connecting to the container's supervisor", error)),
        }
    }

    /// A socket's path has at most 107 bytes, so it is named by the folder's descriptor.
    async fn try_connect(run: &RunFolder) -> io::Result<UnixStream> {
        let folder = File::open(run.path())?;
        UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd())).await
    }

    /// Asks and waits for the answer; `None` when the supervisor ends meanwhile.
    pub async fn ask(&mut self, ask: &Ask, patience: Duration) -> Result<Option<Answer>, EngineError> {
        match tokio::time::timeout(patience, self.ask_patiently(ask)).await {
            Ok(answer) => answer,
            Err(_) => {
                Err(EngineError::host("talking to the container's supervisor", "it did not answer in time"))
            }
        }
    }

    /// Asks and waits for the answer as long as it takes.
    ///
    /// A supervisor that somebody has stopped (SIGSTOP) is woken: it reads no output while it stands still, so that
    /// its application would soon stand still too.
    pub async fn ask_patiently(&mut self, ask: &Ask) -> Result<Option<Answer>, EngineError> {
        let supervisor = self.supervisor();
        let mut exchange = std::pin::pin!(self.exchange(ask));
        loop {
            if let Some(supervisor) = supervisor {
                wake(supervisor);
            }
            match tokio::time::timeout(WAKE_EVERY, &mut exchange).await {
                Ok(answer) => return answer.doing(|| "talking to the container's supervisor".to_owned()),
                Err(_) => continue,
            }
        }
    }

    async fn exchange(&mut self, ask: &Ask) -> io::Result<Option<Answer>> {
        let mut text = serde_json::to_vec(ask)?;
        text.push(b'\n');
        if let Err(error) = self.stream.get_mut().write_all(&text).await {
            return ended(error);
        }
        let mut line = Vec::new();
        match self.stream.read_until(b'\n', &mut line).await {
            Ok(_) if line.is_empty() => Ok(None),
            Ok(_) => Ok(Some(serde_json::from_slice(&line)?)),
            Err(error) => ended(error),
        }
    }

    /// Waits until the supervisor's process has ended.
    pub async fn closed(&mut self, patience: Duration) -> bool {
        let mut rest = Vec::new();
        let read = tokio::io::AsyncReadExt::read_to_end(&mut self.stream, &mut rest);
        tokio::time::timeout(patience, read).await.is_ok()
    }

    /// Kills a supervisor that does not do what it is asked.
    pub async fn kill_supervisor(&mut self, patience: Duration) -> Result<(), EngineError> {
        if let Some(supervisor) = self.supervisor() {
            tracing::warn!(supervisor, "a supervisor does not answer and is killed");
            let _ = kill(Pid::from_raw(supervisor), Signal::SIGKILL);
        }
        match self.closed(patience).await {
            true => Ok(()),
            false => Err(EngineError::host("ending the supervisor", "it does not go away")),
        }
    }

    /// The supervisor's process; as long as the connection stands, the number is its own.
    fn supervisor(&self) -> Option<i32> {
        self.stream.get_ref().peer_cred().ok()?.pid()
    }
}

/// Lets a stopped process go on (proc_pid_stat(5): state `T`).
fn wake(supervisor: i32) {
    let stat = std::fs::read_to_string(format!("/proc/{supervisor}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().next());
    if state == Some("T") {
        tracing::warn!(supervisor, "somebody stopped a supervisor; it is woken");
        let _ = kill(Pid::from_raw(supervisor), Signal::SIGCONT);
    }
}

/// A connection to a process that is just ending is reset.
fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset)
}

/// The end of a process shows as one of these when it had not read everything.
fn ended<T>(error: io::Error) -> io::Result<Option<T>> {
    match error.kind() {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof => Ok(None),
        _ => Err(error),
    }
}
