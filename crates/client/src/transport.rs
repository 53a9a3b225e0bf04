//! One request and its answer.

use std::fmt;
use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;
use uuid::Uuid;
use wire::Secret;

use crate::{Error, Refusal, Server};

/// The API answers within this time; longer work runs in its background.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Pause before a request goes a second time.
const ONCE_MORE_AFTER: Duration = Duration::from_millis(500);

/// How long a server may be away in between.
const BACK_WITHIN: Duration = Duration::from_secs(30);

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// No answer is larger: 5000 log lines of 16 KiB are at most 80 MB.
const LARGEST_ANSWER: usize = 100 << 20;

/// A client of one server. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    server: Server,
    key: Option<HeaderValue>,
}

impl Client {
    /// A client that signs its requests with `key`. Without one it can only set the server up.
    pub fn new(server: Server, key: Option<&Secret>) -> Result<Self, Error> {
        let mut http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(Duration::from_secs(10))
            .redirect(redirect::Policy::none())
            .referer(false)
            .user_agent(concat!("darsena-cli/", env!("CARGO_PKG_VERSION")));
        if server.is_plain() {
            // A proxy would see the key. And without TLS there is no certificate store to load.
            http = http.no_proxy().tls_certs_only([]);
        }
        let http = http.build().map_err(|error| Error::NoAnswer {
            server: server.to_string(),
            why: format!("no connection can be prepared: {}", innermost(&error)),
        })?;
        let key = key.map(|key| bearer(key, &server)).transpose()?;
        Ok(Self { http, server, key })
    }

    /// The server that this client speaks to.
    pub fn server(&self) -> &Server {
        &self.server
    }

    pub(crate) fn url(&self, segments: &[&str]) -> Url {
        self.server.operation(segments)
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, url: Url) -> Result<T, Error> {
        self.send(Method::GET, url, None::<&()>).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        url: Url,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        self.send(Method::POST, url, Some(body)).await
    }

    /// The same for an operation that may take this long.
    pub(crate) async fn post_within<T: DeserializeOwned>(
        &self,
        url: Url,
        body: &impl Serialize,
        limit: Duration,
    ) -> Result<T, Error> {
        let (status, bytes) =
            self.ask(self.request(Method::POST, url).json(body).timeout(limit), limit).await?;
        self.read(status, &bytes)
    }

    /// A request that the server carries out once, however often it arrives: it goes a second time when nobody knows
    /// whether the first one did. The draft of `Idempotency-Key` has the key in quotes.
    pub(crate) async fn post_once<T: DeserializeOwned>(
        &self,
        url: Url,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        let key =
            HeaderValue::try_from(format!("\"{}\"", Uuid::new_v4())).expect("a UUID in quotes is a header");
        let headers = HeaderMap::from_iter([(IDEMPOTENCY_KEY, key)]);
        match self.send_with(Method::POST, url.clone(), headers.clone(), Some(body)).await {
            Err(error) if error.leaves_open() => {
                self.once_more(async || {
                    self.send_with(Method::POST, url.clone(), headers.clone(), Some(body)).await
                })
                .await
            }
            result => result,
        }
    }

    /// A server that was killed or upgraded is back in a moment: as long as there is no connection nothing was asked.
    async fn once_more<T>(&self, ask: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
        let began = Instant::now();
        loop {
            tokio::time::sleep(ONCE_MORE_AFTER).await;
            match ask().await {
                Err(Error::Unreachable { .. }) if began.elapsed() < BACK_WITHIN => {}
                result => return result,
            }
        }
    }

    pub(crate) async fn patch<T: DeserializeOwned>(
        &self,
        url: Url,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        self.send(Method::PATCH, url, Some(body)).await
    }

    pub(crate) async fn put<T: DeserializeOwned>(&self, url: Url, body: &impl Serialize) -> Result<T, Error> {
        self.send(Method::PUT, url, Some(body)).await
    }

    pub(crate) async fn delete<T: DeserializeOwned>(&self, url: Url) -> Result<T, Error> {
        self.send(Method::DELETE, url, None::<&()>).await
    }

    /// A removal that is answered without a body.
    pub(crate) async fn delete_silently(&self, url: Url) -> Result<(), Error> {
        self.ask(self.request(Method::DELETE, url), TIMEOUT).await.map(|_| ())
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        body: Option<&impl Serialize>,
    ) -> Result<T, Error> {
        self.send_with(method, url, HeaderMap::new(), body).await
    }

    async fn send_with<T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Option<&impl Serialize>,
    ) -> Result<T, Error> {
        let mut request = self.request(method, url).headers(headers);
        if let Some(body) = body {
            request = request.json(body);
        }
        let (status, bytes) = self.ask(request, TIMEOUT).await?;
        self.read(status, &bytes)
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.http.request(method, url);
        match &self.key {
            Some(key) => request.header(AUTHORIZATION, key),
            None => request,
        }
    }

    /// The body of an answer that says yes. `limit`: how long the request may take.
    async fn ask(&self, request: RequestBuilder, limit: Duration) -> Result<(StatusCode, Vec<u8>), Error> {
        let response = request.send().await.map_err(|error| self.transport_error(&error, limit))?;
        let (status, retry_after) = (response.status(), retry_after(&response));
        let bytes = self.body(response, limit).await?;
        if status.is_success() { Ok((status, bytes)) } else { Err(self.refusal(status, retry_after, &bytes)) }
    }

    fn read<T: DeserializeOwned>(&self, status: StatusCode, bytes: &[u8]) -> Result<T, Error> {
        serde_json::from_slice(bytes).map_err(|error| self.not_the_api(status, &error.to_string()))
    }

    async fn body(&self, mut response: Response, limit: Duration) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.transport_error(&error, limit))? {
            if bytes.len() + chunk.len() > LARGEST_ANSWER {
                return Err(self.not_the_api(response.status(), "the answer is larger than 100 MB"));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn refusal(&self, status: StatusCode, retry_after: Option<u64>, body: &[u8]) -> Error {
        if status.is_redirection() {
            return self.not_the_api(status, "it points elsewhere, and a key is not sent after a redirect");
        }
        let Ok(error) = serde_json::from_slice::<wire::Error>(body) else {
            return self.not_the_api(status, "and no error of API v3");
        };
        let data = error.data.unwrap_or_default();
        Error::Refused(Box::new(Refusal {
            status: status.as_u16(),
            message: error.message,
            code: data.code,
            detail: data.message,
            available_platforms: data.available_platforms.unwrap_or_default(),
            applications: data.applications.unwrap_or_default(),
            retry_after,
        }))
    }

    fn not_the_api(&self, status: StatusCode, what: &str) -> Error {
        Error::NotTheApi { server: self.server.to_string(), what: format!("{}: {what}", status.as_u16()) }
    }

    fn transport_error(&self, error: &reqwest::Error, limit: Duration) -> Error {
        let server = self.server.to_string();
        let why = innermost(error);
        if error.is_connect() {
            return Error::Unreachable { server, why };
        }
        let why = if error.is_timeout() { format!("nothing came for {} s", limit.as_secs()) } else { why };
        Error::NoAnswer { server, why }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("server", &self.server).finish_non_exhaustive()
    }
}

fn bearer(key: &Secret, server: &Server) -> Result<HeaderValue, Error> {
    let mut value =
        HeaderValue::from_str(&format!("Bearer {}", key.expose().trim())).map_err(|_| Error::NoAnswer {
            server: server.to_string(),
            why: "the key holds a character that no key has".to_owned(),
        })?;
    value.set_sensitive(true);
    Ok(value)
}

fn retry_after(response: &Response) -> Option<u64> {
    response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

/// The last cause in words: `connection refused` instead of a chain of wrappers.
pub(crate) fn innermost(error: &reqwest::Error) -> String {
    if error.is_connect() && error.is_timeout() {
        return "the connection was not accepted in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<std::io::Error>() {
        Some(io) => plain(io),
        None => cause.to_string(),
    }
}

/// An I/O error without its number, as people say it.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}
