//! A registry that misbehaves, differently for each repository, and remembers every request it got.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::bad_answers;
use crate::image::Built;
use crate::seen::Seen;
use crate::tls::{Certificate, Listener};

/// What goes wrong in a repository.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Every answer with a blob ends, with an error, after this many bytes. With `has_ranges` the rest can be
    /// asked for; without, every answer starts at 0, and only the first `times` are cut.
    Cut { after: usize, has_ranges: bool, times: usize },
    /// Every layer stops after this many bytes, with the connection open.
    Stall { after: usize },
    /// Every range is answered with another one.
    WrongRange { after: usize },
    /// One bit of each layer is flipped, the first `times` times.
    WrongBytes { times: usize },
    /// A layer has more bytes than its descriptor says.
    TooLong,
    /// The header says another digest than the manifest has.
    WrongDigestHeader,
    /// What is asked for by digest is answered with other bytes.
    WrongManifest,
    /// As Docker Hub: 401 with a Bearer challenge; a token for everybody at `/token`, or for this login only.
    Token { login: Option<(String, String)> },
    /// A challenge as given.
    Challenge(String),
    /// This status, the first `times` times, with a `Retry-After` when there is one.
    Status { status: u16, times: usize, retry_after: Option<String> },
    /// 404 with this code of the distribution spec.
    NotFound { code: String },
    /// 307 to this address for each blob; `{digest}` in it is replaced.
    RedirectBlobs(String),
    /// Blobs are not there.
    NoBlobs,
    /// The head of an answer never comes.
    Silent,
}

/// The registry. Dropped, it stops.
#[derive(Debug)]
pub struct Bad {
    address: SocketAddr,
    /// As references write it.
    host: String,
    state: Shared,
    server: JoinHandle<()>,
}

/// What the handlers see.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    /// `http://127.0.0.1:PORT`, where it is.
    pub base: String,
    pub inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
pub(super) struct Inner {
    pub repositories: HashMap<String, Repository>,
    pub seen: Vec<Seen>,
    pub script: Option<Script>,
}

/// What a test answers itself; `None` leaves the answer to the repository.
pub(super) type Script = Arc<dyn Fn(&Seen) -> Option<Reply> + Send + Sync>;

/// An answer that a test makes.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) delay: Duration,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), delay: Duration::ZERO }
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same, later.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// 401 with this way to log in.
    pub fn challenge(text: &str) -> Self {
        Self::new(401, r#"{"errors":[{"code":"UNAUTHORIZED","message":"log in"}]}"#)
            .header("www-authenticate", text)
    }

    /// 307 to somewhere.
    pub fn redirect(to: &str) -> Self {
        Self::new(307, "").header("location", to)
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("repositories", &self.repositories).finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(super) struct Repository {
    pub fault: Fault,
    /// Tag or digest to media type and document.
    pub manifests: HashMap<String, (String, Vec<u8>)>,
    pub blobs: HashMap<String, Vec<u8>>,
    /// How often the fault has struck.
    pub struck: usize,
}

impl Bad {
    /// Starts an empty one on a free port of 127.0.0.1.
    pub async fn start() -> Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts an empty one at an address, over plain http.
    pub async fn start_at(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let host = address.to_string();
        let state = Shared { base: format!("http://{host}"), inner: Arc::default() };
        let router = bad_answers::router(state.clone());
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, host, state, server })
    }

    /// Starts an empty one over TLS, under a name that resolves to the address.
    pub async fn start_tls(name: &str, address: SocketAddr, certificate: &Certificate) -> Result<Self> {
        let listener = Listener::bind(address, certificate).await?;
        let address = axum::serve::Listener::local_addr(&listener)?;
        let host = if address.port() == 443 { name.to_owned() } else { format!("{name}:{}", address.port()) };
        let state = Shared { base: format!("https://{host}"), inner: Arc::default() };
        let router = bad_answers::router(state.clone());
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, host, state, server })
    }

    /// `host:port`, as it stands in a reference.
    pub fn host(&self) -> String {
        self.host.clone()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts an image into a repository, under the tag `1`.
    pub fn serve(&self, repository: &str, image: &Built, fault: Fault) {
        let mut manifests: HashMap<String, (String, Vec<u8>)> = HashMap::new();
        for (media_type, document) in &image.manifests {
            manifests.insert(crate::image::digest(document), (media_type.clone(), document.clone()));
        }
        for name in ["1", &image.digest] {
            manifests.insert(name.to_owned(), (image.media_type.clone(), image.document.clone()));
        }
        let blobs = image.blobs.iter().map(|blob| (crate::image::digest(blob), blob.clone())).collect();
        let repository_state = Repository { fault, manifests, blobs, struck: 0 };
        self.state.lock().repositories.insert(repository.to_owned(), repository_state);
    }

    /// Answers requests before any repository does: for what no [`Fault`] is.
    pub fn script(&self, script: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) {
        self.state.lock().script = Some(Arc::new(script));
    }

    /// Every request so far, oldest first.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.lock().seen.clone()
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.state.lock().seen.clear();
    }
}

impl Drop for Bad {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Repository {
    /// Whether the fault strikes once more, out of `times`.
    pub fn strikes(&mut self, times: usize) -> bool {
        let does = self.struck < times;
        self.struck += usize::from(does);
        does
    }
}
