//! The ingress' side of the control socket.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{self, Arc};
use std::time::Duration;

use tokio::io::BufReader;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::protocol::{self, Ask, Drained, Hello, Reply};
use crate::error::IngressError;
use crate::handover::{self, Belongings, Predecessor};
use crate::proxy::Proxy;
use crate::saved;
use crate::table::RouteTable;

/// Answers the control plane. Its connections may come and go; the ingress does not depend on them.
pub(crate) struct Control {
    pub proxy: Arc<Proxy>,
    /// What does not change about us.
    pub hello: Hello,
    /// Folder of the saved routes.
    pub state: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
    /// Held while a table is put in force and saved, so that the saved one is the last one, and while a handover
    /// is undecided.
    pub publishing: Mutex<()>,
    /// `None` once they were let go for a successor.
    pub belongings: sync::Mutex<Option<Belongings>>,
    /// The ingress that this one took over from.
    pub predecessor: Option<Predecessor>,
    /// Cancelled when the process has to end.
    pub stop: CancellationToken,
}

/// Makes the socket and puts it in the place of the one that is there, which is a leftover, or that of the ingress
/// that we take over from.
pub(crate) fn bind(path: &Path) -> Result<UnixListener, IngressError> {
    let made = name_when_made(path);
    handover::remove(&made).map_err(IngressError::io("replace", &made))?;
    let listener = UnixListener::bind(&made).map_err(IngressError::io("make the socket", &made))?;
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(&made, private).map_err(IngressError::io("protect", &made))?;
    fs::rename(&made, path).map_err(IngressError::io("replace", path))?;
    Ok(listener)
}

/// The name under which the socket is made. Whoever is connected sees it as the address of the other side.
pub(crate) fn name_when_made(path: &Path) -> PathBuf {
    handover::with_suffix(path, ".new")
}

/// Answers until told to stop.
pub(crate) async fn listen(listener: UnixListener, control: Arc<Control>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = control.stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let control = control.clone();
                tokio::spawn(async move {
                    if let Err(error) = converse(stream, &control).await {
                        tracing::warn!(%error, "a conversation on the control socket broke off");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a control connection could not be taken");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn converse(stream: UnixStream, control: &Control) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let reply = match protocol::read::<Ask>(&mut stream).await {
            Ok(Some(Ask::HandOver)) => {
                handover::give(&mut stream, control).await?;
                continue;
            }
            Ok(Some(Ask::Lend)) => handover::lend(&stream, control).await?,
            Ok(Some(ask)) => control.answer(ask).await,
            Ok(None) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Reply::Refused { problem: error.to_string() }
            }
            Err(error) => return Err(error),
        };
        let is_last = matches!(reply, Reply::ShuttingDown | Reply::Refused { .. });
        protocol::write(&mut stream, &reply).await?;
        if matches!(reply, Reply::ShuttingDown) {
            control.stop.cancel();
        }
        if is_last {
            return Ok(());
        }
    }
}

impl Control {
    async fn answer(&self, ask: Ask) -> Reply {
        match ask {
            Ask::Hello => Reply::Hello(Hello { routes: self.proxy.router.version(), ..self.hello.clone() }),
            Ask::Routes => Reply::Routes { table: self.proxy.router.lasting() },
            Ask::Publish { table } => self.publish(table).await,
            Ask::Drain { backend, deadline_ms } => {
                Reply::Drained(self.drain(&backend, Duration::from_millis(deadline_ms)).await)
            }
            Ask::Shutdown => Reply::ShuttingDown,
            Ask::Follow { table } if self.proxy.leaving.is_cancelled() => {
                self.put_in_force(table).await;
                Reply::Following
            }
            Ask::Lend | Ask::HandOver | Ask::TookOver | Ask::Follow { .. } => {
                Reply::Refused { problem: "no handover is under way".to_owned() }
            }
        }
    }

    /// In force first, saved second: a full disk must not keep people from the new release.
    async fn publish(&self, table: RouteTable) -> Reply {
        let _in_order = self.publishing.lock().await;
        if self.proxy.leaving.is_cancelled() {
            return Reply::Refused { problem: "another ingress took over".to_owned() };
        }
        self.put_in_force(table.clone()).await;
        let folder = self.state.clone();
        let saved = tokio::task::spawn_blocking(move || saved::save(&folder, &table)).await;
        let problem = match saved {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(problem) = &problem {
            tracing::warn!(problem, folder = %self.state.display(), "the routes could not be saved");
        }
        Reply::Published { problem }
    }

    async fn put_in_force(&self, table: RouteTable) {
        self.proxy.publish(table.clone());
        if let Some(predecessor) = &self.predecessor {
            predecessor.follow(&table).await;
        }
    }

    async fn drain(&self, backend: &str, deadline: Duration) -> Drained {
        let theirs = async {
            match &self.predecessor {
                Some(predecessor) => predecessor.drain(backend, deadline).await,
                None => 0,
            }
        };
        let (ours, theirs) = tokio::join!(self.proxy.router.drain(backend, deadline), theirs);
        Drained { left: ours + theirs }
    }
}
