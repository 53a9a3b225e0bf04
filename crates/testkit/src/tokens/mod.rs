//! A token server that behaves as those of Docker Hub, GHCR and GitLab do (Docker's "Token Authentication
//! Specification"), for Debian's docker-registry.
//!
//! A private registry over TLS, as the end-to-end tests use it:
//!
//! ```no_run
//! # fn example() -> anyhow::Result<()> {
//! use testkit::image::{Image, Layer, Tar};
//! use testkit::registry::Good;
//! use testkit::tls::TestCa;
//! use testkit::tokens::{Style, TokenServer};
//!
//! let ca = TestCa::new()?;
//! let tokens = TokenServer::start(Style::Hub, &ca)?;
//! let registry = Good::with_tokens(&tokens, &ca)?;
//! // darsena serve --private-registry {registry.host()} --private-registry {tokens.host()}
//! //     with SSL_CERT_FILE = {ca.path()} in its environment
//!
//! tokens.user("ci", "push-secret").may_push("ci", "team/app");
//! let image = Image::new().layer(Layer::gzip(Tar::new().file("hello", "x", 0o755))).build();
//! image.push_to_blocking(&registry.remote().login("ci", "push-secret"), "team/app", "1")?;
//!
//! tokens.user("bot", "first-token").may_pull("bot", "team/app");
//! // … deploy {registry.host()}/team/app:1 with the credential bot / first-token …
//! tokens.rotate("bot", "second-token"); // from now on the first one is refused
//! // … the next deployment fails with credential_rejected …
//! tokens.revoke("bot"); // no secret of bot is accepted any more
//! tokens.rotate("bot", "third-token"); // and this one is, again
//! # Ok(()) }
//! ```

mod answers;
mod users;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use tempfile::TempDir;
use tokio::sync::oneshot;

pub use crate::seen::Seen;
use crate::tls::{Certificate, Listener, TestCa};
use users::Users;

/// Who issues the tokens, and for which service.
pub(crate) const ISSUER: &str = "darsena-test";
pub(crate) const SERVICE: &str = "registry.darsena.test";

/// Whose behaviour it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Docker Hub: `/token` on another host name, `token` and `access_token` in the answer, 401 with `details`
    /// for a wrong login. Who may not pull an image gets a token that is not good for it.
    Hub,
    /// GHCR: `/token`, `token` alone, 403 `denied` for a wrong login, and 403 with words about scopes for one
    /// that may not pull at all.
    Ghcr,
    /// GitLab: `/jwt/auth`, `token` alone, 401 `HTTP Basic: Access denied` for a wrong login, 403 `access
    /// forbidden` for what the login may not have.
    Gitlab,
    /// Azure: `/oauth2/token`, `access_token` alone, 401 for a wrong login.
    Azure,
}

/// The server, on a thread of its own. Dropped, it stops.
#[derive(Debug)]
pub struct TokenServer {
    address: SocketAddr,
    /// As the realm names it: `127.0.0.1`, or another name.
    name: String,
    style: Style,
    state: Shared,
    folder: TempDir,
    stop: Option<oneshot::Sender<()>>,
}

/// What the handlers see.
#[derive(Clone, Debug)]
struct Shared(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    style: Style,
    users: Users,
    /// Seconds that a token says it lives, and does.
    lifetime: Duration,
    key: KeyPair,
    /// The certificate of `key`, DER.
    certificate: Vec<u8>,
    seen: Vec<Seen>,
    /// Answers to give before anything is looked at: status and `Retry-After`.
    faults: Vec<(u16, Option<String>)>,
}

impl TokenServer {
    /// Starts it on a free port of 127.0.0.1, with a certificate of the authority.
    pub fn start(style: Style, ca: &TestCa) -> Result<Self> {
        Self::start_at(style, ca, "127.0.0.1", SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Starts it under a name that resolves to the address.
    pub fn start_at(style: Style, ca: &TestCa, name: &str, address: SocketAddr) -> Result<Self> {
        let certificate = ca.certificate(&[name])?;
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
        let mut params = CertificateParams::new(vec![ISSUER.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, ISSUER);
        let own = params.self_signed(&key)?;
        let folder = TempDir::new()?;
        std::fs::write(folder.path().join("tokens.pem"), own.pem())?;
        let state = Shared(Arc::new(Mutex::new(Inner {
            style,
            users: Users::default(),
            lifetime: Duration::from_secs(300),
            key,
            certificate: own.der().to_vec(),
            seen: Vec::new(),
            faults: Vec::new(),
        })));
        let (stop, stopped) = oneshot::channel();
        let address = serve(state.clone(), address, certificate, stopped)?;
        Ok(Self { address, name: name.to_owned(), style, state, folder, stop: Some(stop) })
    }

    /// `host:port`, as `--private-registry` takes it.
    pub fn host(&self) -> String {
        format!("{}:{}", self.name, self.address.port())
    }

    /// The address that challenges name.
    pub fn realm(&self) -> String {
        let path = match self.style {
            Style::Hub | Style::Ghcr => "token",
            Style::Gitlab => "jwt/auth",
            Style::Azure => "oauth2/token",
        };
        format!("https://{}/{path}", self.host())
    }

    /// The certificate that tokens are signed with, PEM.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("tokens.pem")
    }

    /// Makes a user, or takes every right and secret from one that is there.
    pub fn user(&self, name: &str, secret: &str) -> &Self {
        self.state.lock().users.make(name, secret);
        self
    }

    /// Lets a user pull from a repository.
    pub fn may_pull(&self, name: &str, repository: &str) -> &Self {
        self.state.lock().users.grant(name, repository, &["pull"]);
        self
    }

    /// Lets a user push to a repository and pull from it.
    pub fn may_push(&self, name: &str, repository: &str) -> &Self {
        self.state.lock().users.grant(name, repository, &["pull", "push"]);
        self
    }

    /// Lets everybody pull from a repository.
    pub fn publish(&self, repository: &str) -> &Self {
        self.state.lock().users.publish(repository);
        self
    }

    /// Gives a user a new secret; the ones before are refused.
    pub fn rotate(&self, name: &str, secret: &str) -> &Self {
        self.state.lock().users.rotate(name, secret);
        self
    }

    /// Refuses every secret of a user.
    pub fn revoke(&self, name: &str) -> &Self {
        self.state.lock().users.revoke(name);
        self
    }

    /// Lets the secret of a user run out; it is refused with words that say so.
    pub fn expire(&self, name: &str) -> &Self {
        self.state.lock().users.expire(name);
        self
    }

    /// Takes the scope for pulling from the secret of a user, which stays good for everything else.
    pub fn without_scope(&self, name: &str) -> &Self {
        self.state.lock().users.without_scope(name);
        self
    }

    /// How long tokens live from now on. Debian's registry takes one for a minute longer.
    pub fn lifetime(&self, lifetime: Duration) -> &Self {
        self.state.lock().lifetime = lifetime;
        self
    }

    /// Answers the next request with this status, and nothing else.
    pub fn fail_once(&self, status: u16, retry_after: Option<&str>) -> &Self {
        self.state.lock().faults.push((status, retry_after.map(str::to_owned)));
        self
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

impl Drop for TokenServer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves on a thread of its own, so that tests with and without a runtime can use it.
fn serve(
    state: Shared,
    address: SocketAddr,
    certificate: Certificate,
    stopped: oneshot::Receiver<()>,
) -> Result<SocketAddr> {
    let (bound, is_bound) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let served = runtime.map_err(anyhow::Error::from).map(|runtime| {
            runtime.block_on(async move {
                let listener = match Listener::bind(address, &certificate).await {
                    Ok(listener) => listener,
                    Err(error) => return drop(bound.send(Err(error))),
                };
                let _ = bound.send(axum::serve::Listener::local_addr(&listener).map_err(Into::into));
                tokio::select! {
                    _ = axum::serve(listener, answers::router(state)) => {}
                    _ = stopped => {}
                }
            });
        });
        drop(served);
    });
    is_bound.recv().context("the token server did not start")?
}
