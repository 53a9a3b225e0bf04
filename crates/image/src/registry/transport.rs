//! One request at a time: which connection it may use, how long it may take, what goes along a redirect.

use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderMap, USER_AGENT};
use reqwest::{Client, Response, StatusCode, redirect::Policy};
use url::Url;

use super::address::{LoopbackOnly, NotLoopback, Private, PublicOnly, proxy_hosts};
use super::caller::Authorization;
use super::place::{Named, host_and_port};
use super::redirect::{self, Follow};
use super::retry::{TRIES, backoff, pulls_left, retry_after};
use super::{Stalled, clean, fault};
use crate::{Cause, Timeouts};

const MAX_REDIRECTS: usize = 5;

/// Connections to the outside, in three kinds.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    /// For everybody: public addresses only.
    public: Client,
    /// For registries that the administrator named.
    named_client: Client,
    /// For named registries on this machine, which no proxy can reach. It connects nowhere else, so a secret
    /// goes over plain http here and nowhere else.
    loopback: Client,
    public_only: PublicOnly,
    named: Named,
    timeouts: Timeouts,
}

/// A request, which is always a GET.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    /// The registry's name, for messages.
    pub registry: &'a str,
    pub url: &'a Url,
    pub headers: &'a HeaderMap,
    /// For the host and port of `url`, and nobody else.
    pub authorization: Option<&'a Authorization>,
    pub follow: Follow,
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
                .redirect(Policy::none())
                .retry(reqwest::retry::never())
                .connect_timeout(timeouts.connect)
                .read_timeout(timeouts.idle)
                .pool_idle_timeout(Duration::from_secs(30))
                .referer(false)
        };
        Ok(Self {
            public: builder().dns_resolver(public_only.clone()).build()?,
            named_client: builder().build()?,
            loopback: builder().no_proxy().dns_resolver(LoopbackOnly).build()?,
            public_only,
            named,
            timeouts,
        })
    }

    /// The same, but a rate limit is told at once in place of being waited for.
    pub fn impatient(&self) -> Self {
        let timeouts = Timeouts { retry_after: Duration::ZERO, ..self.timeouts };
        Self { timeouts, ..self.clone() }
    }

    pub fn named(&self) -> &Named {
        &self.named
    }

    /// Whether a secret may be sent to an address at all: over https, or within this machine.
    pub async fn may_carry_secret(&self, url: &Url) -> bool {
        url.scheme() == "https" || LoopbackOnly::is_here(url).await
    }

    /// Sends a request, follows redirects, and tries again what the server could not serve.
    pub async fn get(&self, request: Request<'_>) -> Result<Response, Cause> {
        let mut tried = 1;
        loop {
            let response = self.get_once(request).await?;
            let wait = match response.status() {
                StatusCode::TOO_MANY_REQUESTS => match retry_after(response.headers()) {
                    Some(wait) if wait <= self.timeouts.retry_after && tried < TRIES => wait,
                    None if tried < TRIES => backoff(tried),
                    retry_after => {
                        let left = pulls_left(response.headers());
                        let registry = request.registry.to_owned();
                        return Err(Cause::RateLimited { registry, retry_after, left });
                    }
                },
                status if status.is_server_error() && tried < TRIES => backoff(tried),
                _ => return Ok(response),
            };
            drop(response);
            tokio::time::sleep(wait).await;
            tried += 1;
        }
    }

    async fn get_once(&self, request: Request<'_>) -> Result<Response, Cause> {
        let failed = |reason| Cause::Registry { registry: request.registry.to_owned(), reason };
        let mut target = request.url.clone();
        // Once away from home, the header stays behind for good: who leads back chooses the path.
        let mut authorization = request.authorization;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(&request, &target, authorization).await?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            target =
                redirect::next(&target, response.headers(), request.follow, &self.named).map_err(failed)?;
            if target.origin() != request.url.origin() {
                authorization = None;
            }
        }
        Err(failed(format!("redirects more than {MAX_REDIRECTS} times")))
    }

    async fn send(
        &self,
        request: &Request<'_>,
        url: &Url,
        authorization: Option<&Authorization>,
    ) -> Result<Response, Cause> {
        let is_secret = authorization.is_some_and(|authorization| authorization.is_secret);
        let client = self.client(request.registry, url, is_secret)?;
        let mut headers = request.headers.clone();
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization.value());
        }
        let sending = client
            .get(url.clone())
            .headers(headers)
            .header(USER_AGENT, concat!("darsena/", env!("CARGO_PKG_VERSION")))
            .send();
        match tokio::time::timeout(self.timeouts.header, sending).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.failed(request.registry, url, &error)),
            Err(_) => Err(Cause::Timeout {
                registry: request.registry.to_owned(),
                step: Stalled::Answering,
                after: self.timeouts.header,
            }),
        }
    }

    /// The connections that an address may be asked over.
    fn client(&self, registry: &str, url: &Url, is_secret: bool) -> Result<&Client, Cause> {
        if self.named.allows(url) {
            let is_plain = url.scheme() == "http";
            return match LoopbackOnly::knows(url) {
                Some(true) => Ok(&self.loopback),
                Some(false) if is_plain && is_secret => {
                    Err(Cause::CredentialInPlain { registry: registry.to_owned() })
                }
                None if is_plain && is_secret => Ok(&self.loopback),
                _ => Ok(&self.named_client),
            };
        }
        if url.scheme() != "https" {
            let reason =
                format!("leads to {} over plain http, which is not allowed", clean(&host_and_port(url)));
            return Err(Cause::Registry { registry: registry.to_owned(), reason });
        }
        self.public_only.check(url).map_err(|private| private_cause(&private))?;
        Ok(&self.public)
    }

    /// What a failed request means.
    fn failed(&self, registry: &str, url: &Url, error: &reqwest::Error) -> Cause {
        let registry = registry.to_owned();
        if let Some(private) = fault::find::<Private>(error) {
            return private_cause(private);
        }
        if fault::find::<NotLoopback>(error).is_some() {
            return Cause::CredentialInPlain { registry };
        }
        if error.is_timeout() {
            let (step, after) = match error.is_connect() {
                true => (Stalled::Connecting, self.timeouts.connect),
                false => (Stalled::Sending, self.timeouts.idle),
            };
            return Cause::Timeout { registry, step, after };
        }
        let at = clean(&host_and_port(url));
        if let Some(tls) = fault::find::<rustls::Error>(error) {
            return Cause::Tls { registry, reason: format!("{} ({at})", fault::tls_words(tls)) };
        }
        let reason = format!("{} ({at})", fault::innermost(error));
        match error.is_connect() {
            true => Cause::Unreachable { registry, reason },
            false => Cause::Unreachable { registry, reason: format!("the connection broke: {reason}") },
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
    let reason = if error.is_timeout() { "nothing more came".to_owned() } else { fault::innermost(error) };
    Cause::Unreachable { registry: registry.to_owned(), reason: format!("the connection broke: {reason}") }
}

fn private_cause(private: &Private) -> Cause {
    Cause::PrivateAddress { host: clean(&private.host), address: private.address.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(named: Named, address: &str) -> Cause {
        let transport = Transport::new(named, Timeouts::default()).unwrap();
        let (url, headers) = (Url::parse(address).unwrap(), HeaderMap::new());
        let (authorization, follow) = (None, Follow::Anywhere);
        let request =
            Request { registry: "the registry", url: &url, headers: &headers, authorization, follow };
        transport.get(request).await.unwrap_err()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_server_without_tls_is_never_spoken_to_in_plain() {
        let server = testkit::registry::Bad::start().await.unwrap();
        let error = get(Named::new(&[], &[server.host()]), &format!("https://{}/v2/", server.host())).await;
        assert!(matches!(error, Cause::Tls { .. }), "{error:?}");
        assert!(error.to_string().contains("it does not speak TLS"), "{error}");
        assert!(server.seen().is_empty());
    }

    #[tokio::test]
    async fn a_closed_port_and_an_unknown_name_have_words_of_their_own() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let named = Named::new(&[closed.to_string()], &[]);
        let refused = get(named, &format!("http://{closed}/")).await.to_string();
        assert!(refused.contains("cannot be reached: connection refused"), "{refused}");
        let unknown = get(Named::default(), "https://no-such-registry.invalid/").await.to_string();
        assert!(
            unknown.contains("cannot be reached") && unknown.contains("no-such-registry.invalid"),
            "{unknown}"
        );
    }
}
