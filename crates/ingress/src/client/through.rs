//! A request through the ingress' public address: the proof that people reach the application.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};

use crate::answer::REASON_HEADER;
use crate::limits::CHECKS_FROM;
use crate::proxy::CANDIDATE_HEADER;

/// Why the application did not answer through the ingress. The message is for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThroughFailure {
    /// The ingress answered in the application's place; `reason` is a word of [`crate::Reason`].
    #[error("{} (the ingress answered {status} for {host})", in_words(reason))]
    Ingress { host: String, status: u16, reason: String },
    /// The ingress itself did not answer.
    #[error("the ingress does not answer: {0}")]
    NoIngress(String),
    #[error("no answer for {host} through the ingress within {} ms", .after.as_millis())]
    Timeout { host: String, after: Duration },
    /// Host, token or path cannot be sent in a request.
    #[error("the request cannot be sent: {0}")]
    Invalid(String),
}

pub(super) async fn request(
    http: SocketAddr,
    host: &str,
    candidate: Option<&str>,
    path: &str,
    timeout: Duration,
) -> Result<u16, ThroughFailure> {
    match tokio::time::timeout(timeout, ask(http, host, candidate, path)).await {
        Ok(result) => result,
        Err(_) => Err(ThroughFailure::Timeout { host: host.to_owned(), after: timeout }),
    }
}

async fn ask(
    http: SocketAddr,
    host: &str,
    candidate: Option<&str>,
    path: &str,
) -> Result<u16, ThroughFailure> {
    let mut request =
        Request::get(path).header(header::HOST, host).header(header::USER_AGENT, "darsena-check");
    if let Some(token) = candidate {
        let mut value = HeaderValue::from_str(token)
            .map_err(|_| ThroughFailure::Invalid("the token is no header value".to_owned()))?;
        value.set_sensitive(true);
        request = request.header(CANDIDATE_HEADER, value);
    }
    let request =
        request.body(Empty::<Bytes>::new()).map_err(|error| ThroughFailure::Invalid(error.to_string()))?;

    let no_ingress = |error: io::Error| ThroughFailure::NoIngress(format!("{http}: {error}"));
    let stream = connect(reachable(http)).await.map_err(no_ingress)?;
    let head = crate::exchange::status_of(TokioIo::new(stream), request)
        .await
        .map_err(|error| ThroughFailure::NoIngress(format!("{http}: {error}")))?;
    match head.headers.get(REASON_HEADER) {
        None => Ok(head.status.as_u16()),
        Some(reason) => Err(ThroughFailure::Ingress {
            host: host.to_owned(),
            status: head.status.as_u16(),
            reason: String::from_utf8_lossy(reason.as_bytes()).into_owned(),
        }),
    }
}

/// Comes from an address of its own where that is possible: a busy proxy on this host leaves no place for a client of
/// the proxy's address.
async fn connect(http: SocketAddr) -> io::Result<TcpStream> {
    if http.is_ipv4() {
        let socket = TcpSocket::new_v4()?;
        if socket.bind((CHECKS_FROM, 0).into()).is_ok()
            && let Ok(stream) = socket.connect(http).await
        {
            return Ok(stream);
        }
    }
    TcpStream::connect(http).await
}

/// An address that means "every address" is reached on the loopback interface.
fn reachable(http: SocketAddr) -> SocketAddr {
    let ip = match http.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, http.port())
}

/// What the ingress met, as the continuation of a sentence about the application.
fn in_words(reason: &str) -> &str {
    match reason {
        "refused" => "connection refused",
        "unreachable" => "it cannot be reached",
        "connect-timeout" => "it did not accept the connection in time",
        "answer-timeout" => "it did not answer in time",
        "closed" => "it closed the connection without an answer",
        "bad-answer" => "it answered TCP but not HTTP",
        "busy" | "too-many" => "the ingress has too many connections",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_in_words() {
        let failure = |reason: &str, status| {
            ThroughFailure::Ingress { host: "shop.localhost".to_owned(), status, reason: reason.to_owned() }
                .to_string()
        };
        let expected = "it answered TCP but not HTTP (the ingress answered 502 for shop.localhost)";
        assert_eq!(failure("bad-answer", 502), expected);
        assert_eq!(failure("suspended", 503), "suspended (the ingress answered 503 for shop.localhost)");
    }
}
