//! A network of a test's own: names, addresses of the internet, a trusted authority, and no way out.
//!
//! What is about public addresses cannot be tested on loopback. Here a thread gets a network and a mount table
//! of its own (Linux namespaces, which need root): every address is one of its loopback device, names come from
//! a hosts file, and a test authority is trusted by whoever reads the system's list. When the thread ends, so
//! does everything.

use std::fmt::Write as _;
use std::fs;
use std::future::Future;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use tempfile::TempDir;

const HOSTS: &str = "/etc/hosts";
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The network as it will be.
#[derive(Debug, Default)]
pub struct Lab {
    names: Vec<(String, IpAddr)>,
    addresses: Vec<IpAddr>,
    authority: Option<PathBuf>,
}

/// The hosts file of a running lab, for names that move.
#[derive(Clone, Debug)]
pub struct Hosts {
    path: PathBuf,
}

impl Lab {
    pub fn new() -> Self {
        Self::default()
    }

    /// A name with its address. A name may have several.
    #[must_use]
    pub fn name(mut self, name: &str, address: &str) -> Self {
        let address = address.parse().expect("a test writes addresses rightly");
        self.names.push((name.to_owned(), address));
        self
    }

    /// An address without a name.
    #[must_use]
    pub fn address(mut self, address: &str) -> Self {
        self.addresses.push(address.parse().expect("a test writes addresses rightly"));
        self
    }

    /// A certificate authority to trust, PEM.
    #[must_use]
    pub fn trust(mut self, authority: PathBuf) -> Self {
        self.authority = Some(authority);
        self
    }

    /// Runs a test in it, on threads of its own. A panic in the test is one here.
    pub fn run<F, W>(self, work: W) -> F::Output
    where
        F: Future,
        F::Output: Send + 'static,
        W: FnOnce(Hosts) -> F + Send + 'static,
    {
        let inside = std::thread::spawn(move || {
            let folder = TempDir::new().expect("a temporary folder");
            let hosts = self.enter(folder.path()).expect("a network of its own");
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.expect("a runtime").block_on(work(hosts))
        });
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Moves this thread, and whatever threads and programs it starts, into the network.
    fn enter(&self, folder: &Path) -> Result<Hosts> {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).context("unshare, which needs root")?;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).context("a mount table of its own")?;
        ip(&["link", "set", "lo", "up"])?;
        let mut addresses: Vec<IpAddr> = self.names.iter().map(|(_, address)| *address).collect();
        addresses.extend(&self.addresses);
        addresses.sort();
        addresses.dedup();
        for address in addresses.into_iter().filter(|address| !address.is_loopback()) {
            let prefix = if address.is_ipv4() { 32 } else { 128 };
            ip(&["address", "add", &format!("{address}/{prefix}"), "dev", "lo"])?;
        }
        let hosts = Hosts { path: folder.join("hosts") };
        hosts.write(&self.names)?;
        bind(&hosts.path, HOSTS)?;
        if let Some(authority) = &self.authority {
            bind(authority, AUTHORITIES)?;
        }
        Ok(hosts)
    }
}

impl Hosts {
    /// Moves a name: from now on it has this address alone, and every other name keeps its own.
    pub fn move_to(&self, name: &str, address: &str) -> Result<()> {
        let text = fs::read_to_string(&self.path)?;
        let others = text.lines().filter(|line| line.split_whitespace().nth(1) != Some(name));
        let moved = format!("{address} {name}");
        let lines: Vec<&str> = others.chain([&*moved]).collect();
        Ok(fs::write(&self.path, lines.join("\n") + "\n")?)
    }

    fn write(&self, names: &[(String, IpAddr)]) -> Result<()> {
        let mut text = "127.0.0.1 localhost\n".to_owned();
        for (name, address) in names {
            writeln!(text, "{address} {name}")?;
        }
        Ok(fs::write(&self.path, text)?)
    }
}

fn bind(file: &Path, over: &str) -> Result<()> {
    mount(Some(file), over, None::<&str>, MsFlags::MS_BIND, None::<&str>).with_context(|| over.to_owned())
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("/sbin/ip").args(arguments).output().context("ip (package iproute2)")?;
    ensure!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
