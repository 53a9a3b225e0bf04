//! Debian's docker-registry, started for a test.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::Port;
use crate::image::Remote;
use crate::tls::{Certificate, TestCa};
use crate::tokens::{ISSUER, SERVICE, TokenServer};

const PROGRAM: &str = "/usr/bin/docker-registry";

/// A registry on a free port of 127.0.0.1, its storage in a temporary folder. Dropped, it is gone with its storage.
#[derive(Debug)]
pub struct Good {
    child: Child,
    address: SocketAddr,
    name: String,
    /// The authority of its certificate, when it has one.
    authority: Option<PathBuf>,
    folder: TempDir,
    _port: Option<Port>,
}

/// How a registry is set up.
#[derive(Debug, Default)]
struct Setup {
    /// The `auth` part of its configuration.
    auth: String,
    tls: Option<(Certificate, PathBuf)>,
    htpasswd: Option<String>,
}

impl Good {
    /// Open to everybody, over plain http.
    pub fn start() -> Result<Self> {
        Self::on_loopback(&Setup::default())
    }

    /// Open to everybody, over TLS.
    pub fn with_tls(ca: &TestCa) -> Result<Self> {
        let tls = Some((ca.certificate(&["127.0.0.1"])?, ca.path()));
        Self::on_loopback(&Setup { tls, ..Setup::default() })
    }

    /// For one user, who logs in with `Basic`, over plain http.
    pub fn with_htpasswd(user: &str, password: &str) -> Result<Self> {
        Self::on_loopback(&Setup { htpasswd: Some(htpasswd_line(user, password)?), ..Setup::default() })
    }

    /// For the users of a token server, over TLS.
    pub fn with_tokens(tokens: &TokenServer, ca: &TestCa) -> Result<Self> {
        let port = Port::reserve()?;
        Ok(Self::with_tokens_at(tokens, ca, "127.0.0.1", port.address())?.holding(port))
    }

    /// As [`Good::with_tokens`], under a name that resolves to the address.
    pub fn with_tokens_at(
        tokens: &TokenServer,
        ca: &TestCa,
        name: &str,
        address: SocketAddr,
    ) -> Result<Self> {
        let auth = format!(
            "auth:\n  token: {{realm: '{}', service: '{SERVICE}', issuer: '{ISSUER}', rootcertbundle: '{}'}}\n",
            tokens.realm(),
            tokens.certificate().display()
        );
        let tls = Some((ca.certificate(&[name])?, ca.path()));
        Self::start_at(name, address, &Setup { auth, tls, htpasswd: None })
    }

    fn on_loopback(setup: &Setup) -> Result<Self> {
        let port = Port::reserve()?;
        Ok(Self::start_at("127.0.0.1", port.address(), setup)?.holding(port))
    }

    /// Keeps the port from everybody else as long as the registry is.
    fn holding(mut self, port: Port) -> Self {
        self._port = Some(port);
        self
    }

    fn start_at(name: &str, address: SocketAddr, setup: &Setup) -> Result<Self> {
        let folder = TempDir::new()?;
        let config = folder.path().join("config.yml");
        fs::write(&config, configuration(address, folder.path(), setup)?)?;
        let child = Command::new(PROGRAM)
            .arg("serve")
            .arg(&config)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log"))?)
            .spawn()
            .with_context(|| format!("starting {PROGRAM} (package docker-registry)"))?;
        let authority = setup.tls.as_ref().map(|(_, authority)| authority.clone());
        let mut registry = Self { child, address, name: name.to_owned(), authority, folder, _port: None };
        registry.wait_until_it_answers()?;
        Ok(registry)
    }

    /// `host:port`, as it stands in a reference; without the port when that is 443.
    pub fn host(&self) -> String {
        match (self.address.port(), self.name.parse::<std::net::IpAddr>()) {
            (443, Err(_)) => self.name.clone(),
            (port, _) => format!("{}:{port}", self.name),
        }
    }

    /// Where images are pushed.
    pub fn remote(&self) -> Remote {
        match &self.authority {
            Some(authority) => Remote::https(&self.host(), authority),
            None => Remote::http(&self.host()),
        }
    }

    /// Where blobs and manifests are, for tests that spoil them.
    pub fn storage(&self) -> PathBuf {
        self.folder.path().join("storage").join("docker/registry/v2")
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(15);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                bail!("{PROGRAM} ended with {status}: {log}");
            }
            let answers = match &self.authority {
                Some(_) => TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_ok(),
                None => answers(self.address).unwrap_or(false),
            };
            if answers {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("{PROGRAM} did not answer in 15 seconds")
    }
}

impl Drop for Good {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The configuration, and the files that it names.
fn configuration(address: SocketAddr, folder: &Path, setup: &Setup) -> Result<String> {
    let mut text = format!(
        "version: 0.1\n\
         log: {{level: warn, accesslog: {{disabled: true}}}}\n\
         storage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\n\
         http:\n  addr: '{address}'\n",
        folder.join("storage").display()
    );
    if let Some((pair, _)) = &setup.tls {
        let (certificate, key) = (pair.certificate.display(), pair.key.display());
        writeln!(text, "  tls: {{certificate: '{certificate}', key: '{key}'}}")?;
    }
    if let Some(line) = &setup.htpasswd {
        let file = folder.join("htpasswd");
        fs::write(&file, line)?;
        writeln!(text, "auth:\n  htpasswd: {{realm: the-test, path: '{}'}}", file.display())?;
    }
    text.push_str(&setup.auth);
    Ok(text)
}

/// A line of an htpasswd file. The registry takes bcrypt only.
fn htpasswd_line(user: &str, password: &str) -> Result<String> {
    // The cheapest cost: the registry checks it at each request.
    Ok(format!("{user}:{}\n", bcrypt::hash(password, 4)?))
}

/// Whether it serves its API, to whom it may concern.
fn answers(address: SocketAddr) -> Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    write!(stream, "GET /v2/ HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    Ok(start.ends_with(b"200") || start.ends_with(b"401"))
}
