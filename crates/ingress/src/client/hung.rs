//! What is done about an ingress that is there and says nothing.

use std::os::fd::OwnedFd;

use rustix::net::{RecvFlags, recv};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::net::UnixStream;

use super::{Client, Hello, spawn};
use crate::error::IngressError;
use crate::process::ProcessConfig;

/// Gets an answer out of an ingress that was silent, or ends it.
///
/// A stopped one is told to go on. One that still says nothing is killed: nothing can be published to it, and it may
/// serve nobody. `None`: there is none any more.
pub(super) async fn wake_or_kill(
    config: &ProcessConfig,
    client: &Client,
) -> Result<Option<Hello>, IngressError> {
    let Some(silent) = Silent::find(config).await else { return Ok(None) };
    tracing::warn!(pid = silent.pid, "the ingress says nothing; should it be stopped, it goes on now");
    silent.signal(Signal::CONT);
    match client.hello().await {
        Ok(hello) => return Ok(Some(hello)),
        Err(IngressError::Silent { .. }) => {}
        Err(IngressError::NotRunning { .. }) => return Ok(None),
        Err(error) => return Err(error),
    }
    tracing::error!(pid = silent.pid, "the ingress hangs and is killed");
    silent.signal(Signal::KILL);
    spawn::wait_until_gone(config).await?;
    Ok(None)
}

/// The process behind the control socket, and no other that got its number later.
struct Silent {
    pid: i32,
    process: OwnedFd,
}

impl Silent {
    /// `None`: nobody listens there, or nobody but ourselves.
    async fn find(config: &ProcessConfig) -> Option<Self> {
        let connection = UnixStream::connect(&config.control).await.ok()?;
        let pid = connection.peer_cred().ok()?.pid()?;
        if pid.cast_unsigned() == std::process::id() {
            return None;
        }
        let process = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        // A connection that stands shows that whoever listens was still alive when its number was looked up.
        let mut byte = [0];
        let heard = recv(&connection, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT);
        matches!(heard, Err(rustix::io::Errno::AGAIN)).then_some(Self { pid, process })
    }

    /// One that is gone needs none.
    fn signal(&self, signal: Signal) {
        if let Err(error) = pidfd_send_signal(&self.process, signal) {
            tracing::debug!(pid = self.pid, %error, "a signal was not sent");
        }
    }
}
