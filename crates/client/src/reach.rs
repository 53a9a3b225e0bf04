//! Asking an application's own URL, as a browser would.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::redirect;
use url::{Host, Url};

use crate::transport::innermost;

/// The ingress marks the answers that it gave itself, instead of an application, with this header.
const INGRESS_ERROR: &str = "darsena-ingress";

/// Why a URL did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The text is no URL that can be asked.
    #[error("{url:?} is no http address")]
    Address { url: String },
    /// No connection, or no answer in time.
    #[error("{url} does not answer: {why}")]
    Silent { url: String, why: String },
    /// The ingress answered instead of the application.
    #[error("{url} is answered by the ingress and not by the application: {status}, {reason}")]
    Ingress { url: String, status: u16, reason: String },
}

/// One GET without a key; any answer of the application counts, whatever its status. Gives the status.
///
/// `*.localhost` means this machine (RFC 6761), whether or not its resolver knows.
pub async fn reach(url: &str, timeout: Duration) -> Result<u16, NoAnswer> {
    let address = || NoAnswer::Address { url: url.to_owned() };
    let target = Url::parse(url).map_err(|_| address())?;
    if !matches!(target.scheme(), "http" | "https") {
        return Err(address());
    }
    let silent = |error: &reqwest::Error| NoAnswer::Silent {
        url: url.to_owned(),
        why: if error.is_timeout() { "no answer in time".to_owned() } else { innermost(error) },
    };
    let mut http = reqwest::Client::builder().timeout(timeout).redirect(redirect::Policy::none()).no_proxy();
    if target.scheme() == "http" {
        http = http.tls_certs_only([]);
    }
    if let Some((name, addresses)) = loopback(&target) {
        http = http.resolve_to_addrs(&name, &addresses);
    }
    let http = http.build().map_err(|error| silent(&error))?;
    let response = http.get(target).send().await.map_err(|error| silent(&error))?;
    let status = response.status().as_u16();
    match response.headers().get(INGRESS_ERROR) {
        None => Ok(status),
        Some(reason) => Err(NoAnswer::Ingress {
            url: url.to_owned(),
            status,
            reason: String::from_utf8_lossy(reason.as_bytes()).into_owned(),
        }),
    }
}

fn loopback(url: &Url) -> Option<(String, [SocketAddr; 2])> {
    let Some(Host::Domain(name)) = url.host() else { return None };
    if name != "localhost" && !name.ends_with(".localhost") {
        return None;
    }
    let port = url.port_or_known_default()?;
    let addresses =
        [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), SocketAddr::from((Ipv6Addr::LOCALHOST, port))];
    Some((name.to_owned(), addresses))
}
