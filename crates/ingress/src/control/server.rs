//! The ingress' side of the control socket.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::BufReader;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::protocol::{self, Ask, Drained, Hello, Reply};
use crate::error::IngressError;
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
    /// Held while a table is put in force and saved, so that the saved one is the last one.
    pub publishing: Mutex<()>,
    /// Cancelled when the process has to end.
    pub stop: CancellationToken,
}

/// Makes the socket. Whoever is there already is a leftover: a living ingress holds the lock of the state folder.
pub(crate) fn bind(path: &Path) -> Result<UnixListener, IngressError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(IngressError::Io { doing: "replace", path: path.to_owned(), source: error });
        }
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(IngressError::io("make the socket", path))?;
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(path, private).map_err(IngressError::io("protect", path))?;
    Ok(listener)
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
                let left = self.proxy.router.drain(&backend, Duration::from_millis(deadline_ms)).await;
                Reply::Drained(Drained { left })
            }
            Ask::Shutdown => Reply::ShuttingDown,
        }
    }

    /// In force first, saved second: a full disk must not keep people from the new release.
    async fn publish(&self, table: RouteTable) -> Reply {
        let _in_order = self.publishing.lock().await;
        self.proxy.publish(table.clone());
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
}
