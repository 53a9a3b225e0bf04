//! Git over HTTP and HTTPS, as GitHub and others speak it.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use http::{HeaderValue, StatusCode, header};
use tokio::sync::oneshot;

use super::{Repositories, Seen, backend, lfs};
use crate::tls::{Certificate, Listener, TestCa};

const LOOPBACK: &str = "127.0.0.1";

/// The server, on a thread of its own. Dropped, it stops.
#[derive(Debug)]
pub struct GitServer {
    address: SocketAddr,
    /// As addresses name it: `127.0.0.1`, or another name.
    name: String,
    is_secure: bool,
    state: Shared,
    stop: Option<oneshot::Sender<()>>,
}

/// What the handler sees.
#[derive(Clone, Debug)]
struct Shared(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    root: PathBuf,
    rules: HashMap<String, Rule>,
    /// Files of Git LFS by their ids.
    kept: HashMap<String, Vec<u8>>,
    /// Start of the addresses that Git LFS is told.
    own: String,
    /// Start of the addresses that downloads are sent to.
    store: Option<String>,
    /// Version 2 of the protocol, with which every commit can be asked for, is not spoken.
    is_old: bool,
    seen: Vec<Seen>,
}

/// How a repository is shown.
#[derive(Clone, Debug)]
enum Rule {
    /// To who sends this as `Authorization`.
    Protected(String),
    /// To who sends this; everybody else hears that there is no such repository, as at GitHub.
    Hidden(String),
    /// Somewhere else: the address without what git adds to it.
    Moved(String),
    /// Not at all: requests that hold this word stay without an answer.
    Stalled(String),
    /// With this status instead.
    Failing(u16),
}

impl GitServer {
    /// On a free port of 127.0.0.1, over plain http, open to everybody.
    pub fn start(repositories: &Repositories) -> Result<Self> {
        Self::start_with(repositories, LOOPBACK, anywhere(), None)
    }

    /// On a free port of 127.0.0.1, over TLS.
    pub fn with_tls(repositories: &Repositories, ca: &TestCa) -> Result<Self> {
        Self::with_tls_at(repositories, ca, LOOPBACK, anywhere())
    }

    /// Over TLS, under a name that resolves to the address; port 0 is a free one.
    pub fn with_tls_at(
        repositories: &Repositories,
        ca: &TestCa,
        name: &str,
        address: SocketAddr,
    ) -> Result<Self> {
        Self::start_with(repositories, name, address, Some(ca.certificate(&[name])?))
    }

    /// With a certificate that may be flawed.
    pub fn with_certificate(repositories: &Repositories, certificate: Certificate) -> Result<Self> {
        Self::start_with(repositories, LOOPBACK, anywhere(), Some(certificate))
    }

    fn start_with(
        repositories: &Repositories,
        name: &str,
        address: SocketAddr,
        certificate: Option<Certificate>,
    ) -> Result<Self> {
        let state = Shared(Arc::new(Mutex::new(Inner { root: repositories.root(), ..Inner::default() })));
        let (stop, stopped) = oneshot::channel();
        let is_secure = certificate.is_some();
        let address = serve(state.clone(), address, certificate, stopped)?;
        let scheme = if is_secure { "https" } else { "http" };
        state.lock().own = format!("{scheme}://{name}:{}", address.port());
        Ok(Self { address, name: name.to_owned(), is_secure, state, stop: Some(stop) })
    }

    /// `HOST:PORT`, as `--insecure-git` and `--private-git` take it.
    pub fn host(&self) -> String {
        format!("{}:{}", self.name, self.address.port())
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of a repository, `acme/shop`.
    pub fn url(&self, name: &str) -> String {
        let scheme = if self.is_secure { "https" } else { "http" };
        format!("{scheme}://{}/{name}.git", self.host())
    }

    /// Shows a repository only to who logs in as this user with this token; everybody else gets 401.
    pub fn protect(&self, name: &str, user: &str, token: &str) -> &Self {
        self.rule(name, Rule::Protected(basic(user, token)))
    }

    /// As [`GitServer::protect`], and everybody who logs in otherwise hears that there is no such repository.
    pub fn hide(&self, name: &str, user: &str, token: &str) -> &Self {
        self.rule(name, Rule::Hidden(basic(user, token)))
    }

    /// Answers every question for a repository with a redirect to this address of a repository.
    pub fn redirect(&self, name: &str, to: &str) -> &Self {
        self.rule(name, Rule::Moved(to.to_owned()))
    }

    /// Leaves requests for a repository without an answer: all (`""`), or those to a path that ends with a word such
    /// as `git-upload-pack`, the second question of a fetch.
    pub fn stall(&self, name: &str, path_end: &str) -> &Self {
        self.rule(name, Rule::Stalled(path_end.to_owned()))
    }

    /// Answers every question for a repository with this status.
    pub fn fail(&self, name: &str, status: u16) -> &Self {
        self.rule(name, Rule::Failing(status))
    }

    /// Shows a repository to everybody again.
    pub fn open(&self, name: &str) -> &Self {
        self.state.lock().rules.remove(name);
        self
    }

    /// Speaks the first version of the protocol alone, in which only what is listed can be asked for.
    pub fn speak_old_protocol(&self) -> &Self {
        self.state.lock().is_old = true;
        self
    }

    /// Keeps a file with Git LFS, and gives what stands for it in a repository.
    pub fn keep(&self, bytes: &[u8]) -> String {
        let (id, pointer) = lfs::pointer(bytes);
        self.state.lock().kept.insert(id, bytes.to_vec());
        pointer
    }

    /// Keeps other bytes under the id of these ones.
    pub fn keep_wrongly(&self, bytes: &[u8], instead: &[u8]) -> String {
        let (id, pointer) = lfs::pointer(bytes);
        self.state.lock().kept.insert(id, instead.to_vec());
        pointer
    }

    /// Tells Git LFS that files are at addresses that begin with this, in place of its own.
    pub fn keep_elsewhere(&self, start: &str) -> &Self {
        self.state.lock().own = start.to_owned();
        self
    }

    /// Sends who downloads a file of Git LFS to a store whose addresses begin with this.
    pub fn send_downloads(&self, start: &str) -> &Self {
        self.state.lock().store = Some(start.to_owned());
        self
    }

    /// Every request so far, oldest first.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.lock().seen.clone()
    }

    fn rule(&self, name: &str, rule: Rule) -> &Self {
        self.state.lock().rules.insert(name.to_owned(), rule);
        self
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

impl Shared {
    /// Start of addresses of files of Git LFS, and their ids.
    fn all_kept(&self) -> (String, Vec<String>) {
        let inner = self.lock();
        (inner.own.clone(), inner.kept.keys().cloned().collect())
    }

    /// Notes a request for a file of Git LFS, and gives it and where who asks is sent.
    fn kept(&self, seen: Seen, id: &str) -> (Option<Vec<u8>>, Option<String>) {
        let mut inner = self.lock();
        inner.seen.push(seen);
        let to = inner.store.as_ref().map(|start| format!("{start}{}{id}", lfs::SIGNED));
        (inner.kept.get(id).cloned(), to)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn basic(user: &str, token: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{token}")))
}

/// Serves on a thread of its own, so that tests with and without a runtime can use it.
fn serve(
    state: Shared,
    address: SocketAddr,
    certificate: Option<Certificate>,
    stopped: oneshot::Receiver<()>,
) -> Result<SocketAddr> {
    let (bound, is_bound) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()
        {
            Ok(runtime) => runtime,
            Err(error) => return drop(bound.send(Err(error.into()))),
        };
        runtime.block_on(async move {
            let router = Router::new().fallback(answer).with_state(state);
            match listen(router, address, certificate).await {
                Ok((address, serving)) => {
                    let _ = bound.send(Ok(address));
                    tokio::select! {
                        () = serving => {}
                        _ = stopped => {}
                    }
                }
                Err(error) => drop(bound.send(Err(error))),
            }
        });
        runtime.shutdown_background();
    });
    is_bound.recv().context("the Git server did not start")?
}

type Serving = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

async fn listen(
    router: Router,
    address: SocketAddr,
    certificate: Option<Certificate>,
) -> Result<(SocketAddr, Serving)> {
    Ok(match certificate {
        Some(certificate) => {
            let listener = Listener::bind(address, &certificate).await?;
            let address = axum::serve::Listener::local_addr(&listener)?;
            (address, Box::pin(async move { drop(axum::serve(listener, router).await) }))
        }
        None => {
            let listener = tokio::net::TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            (address, Box::pin(async move { drop(axum::serve(listener, router).await) }))
        }
    })
}

async fn answer(State(state): State<Shared>, mut request: Request) -> Response {
    let seen = Seen {
        method: request.method().to_string(),
        path: request.uri().to_string(),
        headers: request.headers().clone(),
    };
    let sent = seen.authorization().map(str::to_owned);
    let path = request.uri().path().to_owned();
    if let Some(id) = path.strip_prefix(lfs::OBJECTS) {
        let (kept, to) = state.kept(seen, id);
        return lfs::object(kept.as_ref(), &sent, to);
    }
    if let Some(id) = path.strip_prefix(lfs::SIGNED) {
        let (kept, to) = state.kept(seen, id);
        return lfs::signed(kept.as_ref(), &sent, to);
    }
    let (name, rest) = split(&path);
    let (rule, root) = {
        let mut inner = state.lock();
        inner.seen.push(seen);
        if inner.is_old {
            request.headers_mut().remove("git-protocol");
        }
        (inner.rules.get(name).cloned(), inner.root.clone())
    };
    match rule {
        Some(Rule::Protected(wanted) | Rule::Hidden(wanted)) if sent.is_none() => {
            drop(wanted);
            login_wanted()
        }
        Some(Rule::Protected(wanted)) if sent.as_ref() != Some(&wanted) => login_wanted(),
        Some(Rule::Hidden(wanted)) if sent.as_ref() != Some(&wanted) => {
            plain(StatusCode::NOT_FOUND, "Repository not found.")
        }
        Some(Rule::Moved(to)) => {
            let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
            moved(&format!("{to}{rest}{query}"))
        }
        Some(Rule::Stalled(end)) if path.ends_with(&end) => std::future::pending().await,
        Some(Rule::Failing(status)) => {
            plain(StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT), "told to fail")
        }
        _ if rest == lfs::BATCH => {
            let (own, ids) = state.all_kept();
            lfs::batch(&own, &ids, request).await
        }
        _ => backend::answer(&root, request)
            .await
            .unwrap_or_else(|error| plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}"))),
    }
}

/// Name of the repository, and what git adds to it.
fn split(path: &str) -> (&str, &str) {
    let path = path.trim_start_matches('/');
    let ends = ["/info/refs", "/info/lfs", "/git-upload-pack", "/git-receive-pack", "/HEAD", "/objects/"];
    let at = ends.iter().filter_map(|end| path.find(end)).min().unwrap_or(path.len());
    let (name, rest) = path.split_at(at);
    (name.strip_suffix(".git").unwrap_or(name), rest)
}

fn login_wanted() -> Response {
    let mut response = plain(StatusCode::UNAUTHORIZED, "Authentication required.");
    let challenge = HeaderValue::from_static("Basic realm=\"the-test\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

pub(super) fn moved(to: &str) -> Response {
    let mut response = plain(StatusCode::MOVED_PERMANENTLY, "moved");
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

pub(super) fn plain(status: StatusCode, words: &str) -> Response {
    let mut response = Response::new(Body::from(format!("{words}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
