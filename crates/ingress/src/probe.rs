//! One attempt to find out whether a container is ready. When to try again is the caller's to decide.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use model::{Probe, ProbeKind};
use tokio::net::TcpStream;

/// Why an attempt did not find the container ready. The message is for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeFailure {
    /// Nothing listens there, yet or at all.
    #[error("connection refused at {address}")]
    Refused { address: SocketAddr },
    /// The attempt's time is over.
    #[error("no answer from {address} within {} ms", .after.as_millis())]
    Timeout { address: SocketAddr, after: Duration },
    /// The address cannot be reached at all.
    #[error("{address} cannot be reached: {cause}")]
    Unreachable { address: SocketAddr, cause: String },
    /// It hung up before it answered.
    #[error("{address} closed the connection without an answer")]
    Closed { address: SocketAddr },
    /// It speaks, but not HTTP/1.
    #[error("{address} answered TCP but not HTTP")]
    NotHttp { address: SocketAddr },
    /// It answered, and not with 2xx or 3xx.
    #[error("{address} answered {status} to GET {path}")]
    Status { address: SocketAddr, path: String, status: u16 },
    /// The probe's path or host cannot be sent in a request.
    #[error("the probe cannot be sent: {0}")]
    Invalid(String),
}

/// Probes once, for at most the probe's `timeout_ms`.
pub async fn probe_once(address: SocketAddr, probe: &Probe) -> Result<(), ProbeFailure> {
    let after = Duration::from_millis(probe.timeout_ms);
    let attempt = async {
        match &probe.kind {
            ProbeKind::Tcp => connect(address).await.map(drop),
            ProbeKind::Http { path, host, .. } => ask(address, path, host.as_deref()).await,
            ProbeKind::Exec { .. } => Err(ProbeFailure::Invalid(
                "a command is run in its container, not asked over the network".into(),
            )),
        }
    };
    match tokio::time::timeout(after, attempt).await {
        Ok(result) => result,
        Err(_) => Err(ProbeFailure::Timeout { address, after }),
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, ProbeFailure> {
    TcpStream::connect(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => ProbeFailure::Refused { address },
        _ => ProbeFailure::Unreachable { address, cause: error.to_string() },
    })
}

async fn ask(address: SocketAddr, path: &str, host: Option<&str>) -> Result<(), ProbeFailure> {
    let request = Request::get(path)
        .header(header::HOST, host.map_or_else(|| address.to_string(), str::to_owned))
        .header(header::USER_AGENT, "darsena-probe")
        .body(Empty::<Bytes>::new())
        .map_err(|error| ProbeFailure::Invalid(error.to_string()))?;
    let stream = connect(address).await?;
    match crate::exchange::status_of(TokioIo::new(stream), request).await {
        Ok(head) if head.status.is_success() || head.status.is_redirection() => Ok(()),
        Ok(head) => {
            Err(ProbeFailure::Status { address, path: path.to_owned(), status: head.status.as_u16() })
        }
        Err(error) if error.is_parse() => Err(ProbeFailure::NotHttp { address }),
        Err(_) => Err(ProbeFailure::Closed { address }),
    }
}
