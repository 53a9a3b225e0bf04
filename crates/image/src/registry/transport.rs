//! One request at a time: which connection it may use, how long it may take, which redirects it follows.

use std::error::Error;
use std::time::Duration;

use http::header::{HeaderMap, HeaderValue, LOCATION, RETRY_AFTER, USER_AGENT};
use reqwest::{Client, Response, StatusCode, redirect};
use url::{Host, Url};

use super::Stalled;
use super::address::{Private, PublicOnly, proxy_hosts};
use super::answer::clean;
use super::place::Named;
use crate::{Cause, Timeouts};

const MAX_REDIRECTS: usize = 5;
/// How often a request is tried that the server could not serve.
const TRIES: u32 = 3;

/// Connections to the outside, in three kinds.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    /// For everybody: public addresses only.
    public: Client,
    /// For registries that the administrator named.
    named_client: Client,
    /// For named registries on this machine, which no proxy can reach.
    loopback: Client,
    public_only: PublicOnly,
    named: Named,
    timeouts: Timeouts,
}

/// What to do with a body that is larger than it may be.
#[derive(Clone, Copy)]
pub(super) enum Limit {
    /// It is an error.
    Refuse(usize),
    /// The rest is left out.
    Cut(usize),
}

impl Transport {
    pub fn new(named: Named, timeouts: Timeouts) -> Result<Self, reqwest::Error> {
        // Programs install one provider for all; where none is, as in tests, this is it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let public_only = PublicOnly::new(proxy_hosts(std::env::vars()));
        let builder = || {
            Client::builder()
                .redirect(redirect::Policy::none())
                .retry(reqwest::retry::never())
                .connect_timeout(timeouts.connect)
                .read_timeout(timeouts.idle)
                .pool_idle_timeout(Duration::from_secs(30))
                .referer(false)
        };
        Ok(Self {
            public: builder().dns_resolver(public_only.clone()).build()?,
            named_client: builder().build()?,
            loopback: builder().no_proxy().build()?,
            public_only,
            named,
            timeouts,
        })
    }

    pub fn named(&self) -> &Named {
        &self.named
    }

    /// Sends a GET, follows redirects, and tries again what the server could not serve. `authorization` goes
    /// to the host and port of `url` and nowhere else. `registry` is the name for messages.
    pub async fn get(
        &self,
        registry: &str,
        url: &Url,
        headers: &HeaderMap,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, Cause> {
        let mut tried = 1;
        loop {
            let response = self.get_once(registry, url, headers, authorization).await?;
            let wait = match response.status() {
                StatusCode::TOO_MANY_REQUESTS => {
                    let asked = retry_after(response.headers());
                    match asked {
                        Some(wait) if wait <= self.timeouts.retry_after && tried < TRIES => wait,
                        None if tried < TRIES => backoff(tried),
                        retry_after => {
                            return Err(Cause::RateLimited { registry: registry.to_owned(), retry_after });
                        }
                    }
                }
                status if status.is_server_error() && tried < TRIES => backoff(tried),
                _ => return Ok(response),
            };
            drop(response);
            tokio::time::sleep(wait).await;
            tried += 1;
        }
    }

    async fn get_once(
        &self,
        registry: &str,
        url: &Url,
        headers: &HeaderMap,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, Cause> {
        let mut target = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let is_home = target.origin() == url.origin();
            let mut headers = headers.clone();
            if let Some(authorization) = authorization.filter(|_| is_home) {
                let mut value = authorization.clone();
                value.set_sensitive(true);
                headers.insert(http::header::AUTHORIZATION, value);
            }
            let response = self.send(registry, &target, headers).await?;
            let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            if !is_redirect {
                return Ok(response);
            }
            target = redirected(&target, response.headers())
                .map_err(|reason| Cause::Registry { registry: registry.to_owned(), reason })?;
        }
        Err(Cause::Registry {
            registry: registry.to_owned(),
            reason: "redirects more than 5 times".to_owned(),
        })
    }

    async fn send(&self, registry: &str, url: &Url, headers: HeaderMap) -> Result<Response, Cause> {
        let client = self.client(registry, url)?;
        let request = client
            .get(url.clone())
            .headers(headers)
            .header(USER_AGENT, concat!("darsena/", env!("CARGO_PKG_VERSION")));
        let sent = tokio::time::timeout(self.timeouts.header, request.send()).await;
        match sent {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.failed(registry, url, &error)),
            Err(_) => Err(Cause::Timeout {
                registry: registry.to_owned(),
                step: Stalled::Answering,
                after: self.timeouts.header,
            }),
        }
    }

    fn client(&self, registry: &str, url: &Url) -> Result<&Client, Cause> {
        if self.named.has(url) {
            let is_loopback = match url.host() {
                Some(Host::Ipv4(address)) => address.is_loopback(),
                Some(Host::Ipv6(address)) => address.is_loopback(),
                Some(Host::Domain(name)) => name == "localhost",
                None => false,
            };
            return Ok(if is_loopback { &self.loopback } else { &self.named_client });
        }
        if url.scheme() != "https" {
            return Err(Cause::Registry {
                registry: registry.to_owned(),
                reason: format!(
                    "leads to {} over plain http, which is not allowed",
                    clean(&host_and_port(url))
                ),
            });
        }
        self.public_only.check(url).map_err(|private| private_cause(&private))?;
        Ok(&self.public)
    }

    /// What a failed request means.
    fn failed(&self, registry: &str, url: &Url, error: &reqwest::Error) -> Cause {
        let registry = registry.to_owned();
        if let Some(private) = find::<Private>(error) {
            return private_cause(private);
        }
        if error.is_timeout() {
            let (step, after) = match error.is_connect() {
                true => (Stalled::Connecting, self.timeouts.connect),
                false => (Stalled::Sending, self.timeouts.idle),
            };
            return Cause::Timeout { registry, step, after };
        }
        let reason = format!("{} ({})", innermost(error), clean(&host_and_port(url)));
        match find::<rustls::Error>(error) {
            Some(_) => Cause::Tls { registry, reason },
            None if error.is_connect() => Cause::Unreachable { registry, reason },
            None => Cause::Unreachable { registry, reason: format!("the connection broke: {reason}") },
        }
    }
}

/// Reads a whole body within a limit.
pub(super) async fn read_body(
    mut response: Response,
    registry: &str,
    limit: Limit,
) -> Result<Vec<u8>, Cause> {
    let (Limit::Refuse(most) | Limit::Cut(most)) = limit;
    let mut body = Vec::new();
    loop {
        let piece = response.chunk().await.map_err(|error| broken_body(registry, &error))?;
        let Some(piece) = piece else { return Ok(body) };
        body.extend_from_slice(&piece);
        if body.len() > most {
            body.truncate(most);
            return match limit {
                Limit::Cut(_) => Ok(body),
                Limit::Refuse(_) => Err(Cause::Registry {
                    registry: registry.to_owned(),
                    reason: format!("sent a document larger than {most} bytes, the limit"),
                }),
            };
        }
    }
}

/// What a body that broke off means.
pub(super) fn broken_body(registry: &str, error: &reqwest::Error) -> Cause {
    let reason = if error.is_timeout() { "nothing more came".to_owned() } else { innermost(error) };
    Cause::Unreachable { registry: registry.to_owned(), reason: format!("the connection broke: {reason}") }
}

/// The next address of a redirect.
fn redirected(from: &Url, headers: &HeaderMap) -> Result<Url, String> {
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let target = location.and_then(|location| from.join(location).ok()).filter(Url::has_host);
    let target = target.ok_or_else(|| "redirects to no address".to_owned())?;
    let to = clean(&host_and_port(&target));
    if !target.username().is_empty() || target.password().is_some() {
        return Err(format!("redirects to {to} with a user name"));
    }
    match (from.scheme(), target.scheme()) {
        ("https", "https") | ("http", "http" | "https") => Ok(target),
        _ => Err(format!("redirects from https to {to} over plain http, which is not allowed")),
    }
}

/// Seconds or a date (RFC 9110, section 10.2.3); `None` when it is neither.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    let wait = date.duration_since(jiff::Timestamp::now());
    Some(Duration::try_from(wait).unwrap_or_default())
}

/// A quarter of a second, doubled with every try, half of it by chance, so that many clients spread out.
fn backoff(tried: u32) -> Duration {
    let base = Duration::from_millis(250) * 2_u32.pow(tried.min(6) - 1);
    let chance = jiff::Timestamp::now().subsec_nanosecond().unsigned_abs() % 1000;
    base / 2 + base * chance / 2000
}

fn private_cause(private: &Private) -> Cause {
    Cause::PrivateAddress { host: clean(&private.host), address: private.address.to_string() }
}

fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// The first cause that says something itself. The outer layers of reqwest and hyper name the address, which
/// may hold what must not be shown.
fn innermost(error: &reqwest::Error) -> String {
    let mut inner: &dyn Error = error;
    while let Some(next) = inner.source() {
        inner = next;
    }
    let inside_io = find::<std::io::Error>(error).filter(|io| io.raw_os_error().is_some());
    let text = inside_io.map_or_else(|| inner.to_string(), |io| io.kind().to_string());
    clean(&text)
}

/// Looks for a cause of one kind, also inside I/O errors, whose `source` skips what they wrap.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn redirects_stay_on_https_and_carry_no_user() {
        let from = Url::parse("https://a.example/v2/x/blobs/1").unwrap();
        let to = |location: &str| redirected(&from, &headers(LOCATION, location));
        assert_eq!(to("/other").unwrap().as_str(), "https://a.example/other");
        assert_eq!(to("https://b.example/x").unwrap().as_str(), "https://b.example/x");
        assert!(to("http://a.example/x").unwrap_err().contains("plain http"));
        assert!(to("https://user:pass@b.example/x").unwrap_err().contains("b.example with a user name"));
        assert!(to("file:///etc/passwd").is_err());
        assert!(to("https://").is_err());
        assert!(redirected(&from, &HeaderMap::new()).is_err());
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let wait = |text: &str| retry_after(&headers(RETRY_AFTER, text));
        assert_eq!(wait("5"), Some(Duration::from_secs(5)));
        assert_eq!(wait("86400"), Some(Duration::from_secs(86400)));
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("-5"), None);
        assert_eq!(wait("soon"), None);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_server_without_tls_is_never_spoken_to_in_plain() {
        let server = testkit::registry::Bad::start().await.unwrap();
        let transport = Transport::new(Named::new(&[server.host()]), Timeouts::default()).unwrap();
        let url = Url::parse(&format!("https://{}/v2/", server.host())).unwrap();
        let error = transport.get("the registry", &url, &HeaderMap::new(), None).await.unwrap_err();
        assert!(matches!(error, Cause::Tls { .. }), "{error:?}");
        assert!(server.seen().is_empty());
    }

    #[tokio::test]
    async fn a_closed_port_and_an_unknown_name_have_words_of_their_own() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let transport = Transport::new(Named::new(&[closed.to_string()]), Timeouts::default()).unwrap();
        let get = async |address: &str| {
            let url = Url::parse(address).unwrap();
            transport.get("the registry", &url, &HeaderMap::new(), None).await.unwrap_err().to_string()
        };
        let refused = get(&format!("http://{closed}/")).await;
        assert!(refused.contains("cannot be reached: connection refused"), "{refused}");
        let unknown = get("https://no-such-registry.invalid/").await;
        assert!(
            unknown.contains("cannot be reached") && unknown.contains("no-such-registry.invalid"),
            "{unknown}"
        );
    }
}
