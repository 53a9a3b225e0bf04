//! Debian's docker-registry, started for a test.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

const PROGRAM: &str = "/usr/bin/docker-registry";

/// A registry on a free port of 127.0.0.1, open to everybody, its storage in a temporary folder. Dropped, it is
/// gone with its storage.
#[derive(Debug)]
pub struct Good {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Good {
    /// Starts it and waits until it answers.
    pub fn start() -> Result<Self> {
        let mut last = None;
        for _ in 0..5 {
            // The port is free when it is asked for and may be taken a moment later; then the next one is tried.
            match Self::start_at(free_address()?) {
                Ok(registry) => return Ok(registry),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("no try was made")?)
    }

    fn start_at(address: SocketAddr) -> Result<Self> {
        let folder = TempDir::new()?;
        let config = folder.path().join("config.yml");
        let storage = folder.path().join("storage");
        fs::write(&config, configuration(address, &storage))?;
        let child = Command::new(PROGRAM)
            .arg("serve")
            .arg(&config)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log"))?)
            .spawn()
            .with_context(|| format!("starting {PROGRAM} (package docker-registry)"))?;
        let mut registry = Self { child, address, folder };
        registry.wait_until_it_answers()?;
        Ok(registry)
    }

    /// `127.0.0.1:PORT`, as it stands in a reference.
    pub fn host(&self) -> String {
        self.address.to_string()
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
            if answers(self.address).unwrap_or(false) {
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

fn configuration(address: SocketAddr, storage: &Path) -> String {
    format!(
        "version: 0.1\n\
         log: {{level: warn, accesslog: {{disabled: true}}}}\n\
         storage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\n\
         http: {{addr: '{address}'}}\n",
        storage.display()
    )
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}

fn answers(address: SocketAddr) -> Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    write!(stream, "GET /v2/ HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    Ok(start.ends_with(b"200"))
}
