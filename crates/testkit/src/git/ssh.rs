//! Git over ssh: Debian's `sshd`, started for a test. It needs root, as whoever logs in is who runs the test.

use std::fs;
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use super::Repositories;
use crate::Port;

const PROGRAM: &str = "/usr/sbin/sshd";
/// Where sshd locks itself in before a login. The service makes it, and the tests start no service.
const EMPTY_FOLDER: &str = "/run/sshd";

/// An ssh server on a free port of 127.0.0.1, with a host key of its own. It runs git and nothing else for whoever has
/// an allowed key. Dropped, it is gone.
#[derive(Debug)]
pub struct SshServer {
    child: Child,
    port: Port,
    folder: TempDir,
    root: PathBuf,
}

impl SshServer {
    pub fn start(repositories: &Repositories) -> Result<Self> {
        // Not below the repositories: they are served, and this holds keys.
        let folder = TempDir::new()?;
        make_key(&folder.path().join("host_key"), "host")?;
        fs::write(folder.path().join("authorized_keys"), "")?;
        let port = Port::reserve()?;
        let child = run(folder.path(), port.address())?;
        let mut server = Self { child, port, folder, root: repositories.path().join("bare") };
        server.wait_until_it_answers()?;
        Ok(server)
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.port.address().to_string()
    }

    /// The address of a repository, `acme/shop`. The account is root, which the tests run as.
    pub fn url(&self, name: &str) -> String {
        format!("ssh://root@{}{}/{name}.git", self.host(), self.root.display())
    }

    /// Lets one more key in: a line as `ssh-keygen` writes it to a `.pub` file.
    pub fn allow(&self, public_key: &str) -> Result<()> {
        ensure!(!public_key.contains('\n'), "one key a line");
        let path = self.folder.path().join("authorized_keys");
        let only_git = "restrict,command=\"/usr/bin/git-shell -c \\\"$SSH_ORIGINAL_COMMAND\\\"\"";
        let before = fs::read_to_string(&path)?;
        Ok(fs::write(path, format!("{before}{only_git} {public_key}\n"))?)
    }

    /// Lets nobody in any more.
    pub fn allow_nobody(&self) -> Result<()> {
        Ok(fs::write(self.folder.path().join("authorized_keys"), "")?)
    }

    /// Its host key, `ssh-ed25519 AAAA...`.
    pub fn host_key(&self) -> Result<String> {
        let line = fs::read_to_string(self.folder.path().join("host_key.pub"))?;
        Ok(line.split(' ').take(2).collect::<Vec<_>>().join(" "))
    }

    /// Goes on with another host key, on the same port.
    pub fn change_host_key(&mut self) -> Result<()> {
        self.end();
        for name in ["host_key", "host_key.pub"] {
            fs::remove_file(self.folder.path().join(name))?;
        }
        make_key(&self.folder.path().join("host_key"), "host")?;
        self.child = run(self.folder.path(), self.port.address())?;
        self.wait_until_it_answers()
    }

    /// What it has said so far, for a test that fails.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                bail!("{PROGRAM} ended with {status}: {}", self.log());
            }
            if greets(self.port.address()).unwrap_or(false) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("{PROGRAM} did not answer in 20 seconds: {}", self.log())
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        self.end();
    }
}

fn run(folder: &Path, address: SocketAddr) -> Result<Child> {
    if !Path::new(EMPTY_FOLDER).exists() {
        let _ = fs::DirBuilder::new().mode(0o755).create(EMPTY_FOLDER);
    }
    let config = folder.join("sshd_config");
    let path = folder.display();
    fs::write(
        &config,
        format!(
            "ListenAddress {address}\n\
             HostKey {path}/host_key\n\
             AuthorizedKeysFile {path}/authorized_keys\n\
             PidFile none\n\
             StrictModes no\n\
             UsePAM no\n\
             PermitRootLogin prohibit-password\n\
             PasswordAuthentication no\n\
             KbdInteractiveAuthentication no\n\
             PubkeyAuthentication yes\n\
             AcceptEnv GIT_PROTOCOL\n\
             PrintMotd no\n\
             UseDNS no\n\
             MaxStartups 100\n\
             LogLevel VERBOSE\n"
        ),
    )?;
    Command::new(PROGRAM)
        .args(["-D", "-e", "-f"])
        .arg(&config)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::options().create(true).append(true).open(folder.join("log"))?)
        .spawn()
        .with_context(|| format!("starting {PROGRAM} (package openssh-server)"))
}

/// Makes a key pair without a passphrase: `PATH` and `PATH.pub`.
fn make_key(path: &Path, comment: &str) -> Result<()> {
    let output = Command::new("/usr/bin/ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"])
        .arg(path)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .context("starting ssh-keygen (package openssh-client)")?;
    ensure!(output.status.success(), "ssh-keygen: {}", String::from_utf8_lossy(&output.stderr));
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o600))?)
}

/// Whether it begins as an ssh server does (RFC 4253, section 4.2).
fn greets(address: SocketAddr) -> Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut start = [0; 8];
    stream.read_exact(&mut start)?;
    Ok(&start == b"SSH-2.0-")
}
