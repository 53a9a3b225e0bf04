//! Requests to addresses that strangers name: each is looked up and checked before it is connected to. Who sends a
//! download elsewhere is followed under the same checks, because many servers keep files at a store.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response};
use url::Url;

use crate::git::address::Server;
use crate::git::call::Call;
use crate::git::error::Cause;

const CONNECT: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_secs(60);
/// How often a download may be sent elsewhere.
const MOST_MOVES: usize = 3;
const JSON: &str = "application/vnd.git-lfs+json";

/// The web, as a call may see it.
#[derive(Debug)]
pub(super) struct Web<'a> {
    call: &'a Call<'a>,
}

impl<'a> Web<'a> {
    pub fn new(call: &'a Call<'a>) -> Self {
        Self { call }
    }

    /// Gets something, wherever it is. Its status was good. The headers are for this address alone.
    pub async fn get(&self, url: &Url, headers: &HashMap<String, String>) -> Result<Response, Cause> {
        let mut at = url.clone();
        let mut response = self.get_here(&at, read_headers(headers)?).await?;
        for _ in 0..MOST_MOVES {
            let Some(next) = next(&at, &response) else { break };
            at = next;
            response = self.get_here(&at, HeaderMap::new()).await?;
        }
        check(&at, response)
    }

    async fn get_here(&self, url: &Url, headers: HeaderMap) -> Result<Response, Cause> {
        let request = self.client(url).await?.get(url.clone()).headers(headers);
        request.send().await.map_err(|error| unreachable(url, &error))
    }

    /// Sends JSON, and gives the answer's body, at most so many bytes.
    pub async fn post(
        &self,
        url: &Url,
        headers: &HashMap<String, String>,
        body: String,
        most: usize,
    ) -> Result<Vec<u8>, Cause> {
        let request = self.client(url).await?.post(url.clone()).headers(read_headers(headers)?);
        let request = request.header(ACCEPT, JSON).header(CONTENT_TYPE, JSON).body(body);
        let response = request.send().await.map_err(|error| unreachable(url, &error))?;
        let mut response = check(url, response)?;
        let mut answer = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| unreachable(url, &error))? {
            answer.extend_from_slice(&part);
            if answer.len() > most {
                return Err(Cause::Invalid(format!("{} answers with more than {most} bytes", host(url))));
            }
        }
        Ok(answer)
    }

    /// A client that knows the address of one server.
    async fn client(&self, url: &Url) -> Result<Client, Cause> {
        let server = Server::of_web(url, self.call.named()).await?;
        let addresses: Vec<SocketAddr> =
            server.addresses.iter().map(|address| SocketAddr::new(*address, server.port)).collect();
        let mut builder = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .resolve_to_addrs(&server.name, &addresses);
        if let Some(path) = &self.call.config().authorities {
            let text = std::fs::read(path).map_err(|error| Cause::storage("read", path, error))?;
            builder =
                builder.tls_certs_only(Certificate::from_pem_bundle(&text).map_err(|error| broken(&error))?);
        }
        builder.build().map_err(|error| broken(&error))
    }
}

/// Where an answer sends who asked.
fn next(url: &Url, response: &Response) -> Option<Url> {
    let place = response.headers().get(LOCATION).filter(|_| response.status().is_redirection())?;
    url.join(place.to_str().ok()?).ok()
}

fn check(url: &Url, response: Response) -> Result<Response, Cause> {
    let server = host(url);
    match response.status().as_u16() {
        200..=299 => Ok(response),
        300..=399 => Err(Cause::Moved { server, to: None }),
        401 => Err(Cause::LoginWanted { server }),
        403 => Err(Cause::Denied { server, whom: "this login".to_owned() }),
        404 | 410 => Err(Cause::Invalid(format!("{server} has nothing of Git LFS for it"))),
        429 => Err(Cause::RateLimited { server }),
        status => Err(Cause::Status { server, status }),
    }
}

/// A connection that failed. The words of the library may hold the whole address, which can be a secret of its own.
pub(super) fn unreachable(url: &Url, error: &reqwest::Error) -> Cause {
    let reason = match () {
        () if error.is_timeout() => "it took too long",
        () if error.is_connect() => "no connection, or a certificate that is not trusted",
        () => "the connection broke",
    };
    Cause::Unreachable { server: host(url), reason: reason.to_owned() }
}

fn broken(error: &reqwest::Error) -> Cause {
    Cause::Failed { program: "the client for Git LFS", words: error.to_string() }
}

fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

fn read_headers(headers: &HashMap<String, String>) -> Result<HeaderMap, Cause> {
    let bad = || Cause::Invalid("its LFS server names headers that are none".to_owned());
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::try_from(name).map_err(|_| bad())?;
        let mut value = HeaderValue::try_from(value).map_err(|_| bad())?;
        value.set_sensitive(true);
        map.insert(name, value);
    }
    Ok(map)
}
