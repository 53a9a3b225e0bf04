//! What can go wrong with the ingress as a whole. What goes wrong with one request is an [`crate::Reason`].

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the ingress did not start, or did not do what it was asked over the control socket.
#[derive(Debug, thiserror::Error)]
pub enum IngressError {
    /// Another ingress has this state folder: talk to that one.
    #[error("another ingress already runs with the state folder {}", .0.display())]
    AlreadyRunning(PathBuf),
    /// The public address is taken or not ours; a person has to choose.
    #[error("the ingress cannot listen on {address}: {source}. Free the address or choose another one")]
    Listen { address: SocketAddr, source: io::Error },
    /// No ingress answers on the control socket: start one.
    #[error("no ingress answers at {}: {source}", .socket.display())]
    NotRunning { socket: PathBuf, source: io::Error },
    /// The process was started and is gone, or never became ready.
    #[error("the ingress process did not start: {0}")]
    NotStarted(String),
    /// The running ingress did not give its sockets away; it goes on serving.
    #[error("the ingress that runs did not hand over: {0}")]
    NotHandedOver(String),
    /// It answered something else than this version understands.
    #[error("the ingress gave an unexpected answer to {asked}: {problem}")]
    Protocol { asked: &'static str, problem: String },
    /// It is there, but hangs or was stopped. [`crate::Client::ensure`] does something about it.
    #[error("the ingress said nothing to {asked} for {seconds} s")]
    Silent { asked: &'static str, seconds: u64 },
    /// A file or socket of the ingress itself.
    #[error("the ingress cannot {doing} {}: {source}", .path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
}

impl IngressError {
    /// For `map_err`: what was being done, and to what.
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }
}
