//! One attempt to find out whether a container is ready. When to try again is the caller's to decide.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use model::{Probe, ProbeKind};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Fields that say where a message ends, which is not a probe's to say.
const OURS: [HeaderName; 3] = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION];

/// Why an attempt did not find the container ready. The message is for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeFailure {
    /// Nothing listens there, yet or at all.
    #[error("connection refused at {address}")]
    Refused { address: SocketAddr },
    /// Nobody took the connection in the attempt's time.
    #[error("{address} did not accept the connection within {} ms", .after.as_millis())]
    NotAccepted { address: SocketAddr, after: Duration },
    /// The connection was taken, and the attempt's time was over before the head of an answer was whole.
    #[error("{address} accepted the connection and gave no answer to GET {path} within {} ms", .after.as_millis())]
    Silent { address: SocketAddr, path: String, after: Duration },
    /// The address cannot be reached at all.
    #[error("{address} cannot be reached: {cause}")]
    Unreachable { address: SocketAddr, cause: String },
    /// It hung up before it answered.
    #[error("{address} accepted the connection and closed it without an answer")]
    Closed { address: SocketAddr },
    /// It speaks, but not HTTP/1.
    #[error("{address} answered TCP but not HTTP")]
    NotHttp { address: SocketAddr },
    /// It answered, and not with 2xx or 3xx, or not with the one status that the probe wants.
    #[error("{address} answered {status} to GET {path}{}", instead(*.status, *.wanted))]
    Status { address: SocketAddr, path: String, status: u16, wanted: Option<u16> },
    /// The probe's path, host or headers cannot be sent in a request.
    #[error("the probe cannot be sent: {0}")]
    Invalid(String),
}

/// The end of a sentence on an answer's status.
fn instead(status: u16, wanted: Option<u16>) -> String {
    let redirect = if (300..400).contains(&status) { "; redirects are not followed" } else { "" };
    match wanted {
        Some(wanted) => format!(" instead of {wanted}{redirect}"),
        None => redirect.to_owned(),
    }
}

/// Probes once, for at most the probe's `timeout_ms`, at its own port if it has one.
///
/// TCP: the connection is accepted. HTTP: the head of an answer came, with the status that the probe wants, or 200 to
/// 399; its body is not read and a redirect not followed. Commands are the engine's to run, not ours.
pub async fn probe_once(address: SocketAddr, probe: &Probe) -> Result<(), ProbeFailure> {
    let after = Duration::from_millis(probe.timeout_ms);
    let ends = Instant::now() + after;
    let address = SocketAddr::new(address.ip(), probe.port.unwrap_or(address.port()));
    match &probe.kind {
        ProbeKind::Tcp => connect(address, ends, after).await.map(drop),
        ProbeKind::Http { path, host, headers, status } => {
            let request = request(address, path, host.as_deref(), headers)?;
            let stream = connect(address, ends, after).await?;
            let asking = tokio::time::timeout_at(ends, ask(address, stream, request));
            let silent = |_| ProbeFailure::Silent { address, path: path.clone(), after };
            judge(address, path, asking.await.map_err(silent)??, *status)
        }
        ProbeKind::Exec { .. } => Err(ProbeFailure::Invalid(
            "a command is run in its container, not asked over the network".to_owned(),
        )),
    }
}

fn request(
    address: SocketAddr,
    path: &str,
    host: Option<&str>,
    headers: &[(String, String)],
) -> Result<Request<Empty<Bytes>>, ProbeFailure> {
    let mut request = Request::get(path)
        .header(header::HOST, host.map_or_else(|| address.to_string(), str::to_owned))
        .header(header::USER_AGENT, "darsena-probe")
        .body(Empty::<Bytes>::new())
        .map_err(|error| ProbeFailure::Invalid(error.to_string()))?;
    for (name, value) in headers {
        add(request.headers_mut(), name, value)?;
    }
    Ok(request)
}

/// Adds a probe's header, of which the value may be a secret. `Host` and `User-Agent` take the place of ours.
fn add(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), ProbeFailure> {
    let invalid = |problem: &str| ProbeFailure::Invalid(format!("the header {name:?} {problem}"));
    let field = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid("has an impossible name"))?;
    let mut value = HeaderValue::from_str(value).map_err(|_| invalid("has an impossible value"))?;
    value.set_sensitive(true);
    if OURS.contains(&field) {
        return Err(invalid("is not a probe's to set"));
    }
    if [header::HOST, header::USER_AGENT].contains(&field) {
        headers.insert(field, value);
    } else {
        headers.append(field, value);
    }
    Ok(())
}

async fn connect(address: SocketAddr, ends: Instant, after: Duration) -> Result<TcpStream, ProbeFailure> {
    match tokio::time::timeout_at(ends, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Err(ProbeFailure::Refused { address })
        }
        Ok(Err(error)) => Err(ProbeFailure::Unreachable { address, cause: error.to_string() }),
        Err(_) => Err(ProbeFailure::NotAccepted { address, after }),
    }
}

/// The status of the answer.
async fn ask(
    address: SocketAddr,
    stream: TcpStream,
    request: Request<Empty<Bytes>>,
) -> Result<u16, ProbeFailure> {
    match crate::exchange::status_of(TokioIo::new(stream), request).await {
        Ok(head) => Ok(head.status.as_u16()),
        Err(error) if error.is_parse() => Err(ProbeFailure::NotHttp { address }),
        Err(_) => Err(ProbeFailure::Closed { address }),
    }
}

fn judge(address: SocketAddr, path: &str, status: u16, wanted: Option<u16>) -> Result<(), ProbeFailure> {
    let is_healthy = match wanted {
        Some(wanted) => status == wanted,
        None => (200..400).contains(&status),
    };
    let path = path.to_owned();
    is_healthy.then_some(()).ok_or(ProbeFailure::Status { address, path, status, wanted })
}
