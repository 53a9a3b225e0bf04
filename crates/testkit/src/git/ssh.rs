//! Git over ssh: Debian's `sshd`, started for a test. It needs root, as whoever logs in is who runs the test.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::Repositories;

const PROGRAM: &str = "/usr/sbin/sshd";
/// Where sshd locks itself in before a login. The service makes it, and the tests start no service.
const EMPTY_FOLDER: &str = "/run/sshd";

/// An ssh server on a free port of 127.0.0.1, with a host key of its own. It runs git and nothing else for whoever has
/// an allowed key. Dropped, it is gone.
///
/// The port is listened to here, and each connection gets an `sshd` of its own, as from inetd: when a test is killed, the
/// kernel closes all connections, and nothing is left.
#[derive(Debug)]
pub struct SshServer {
    address: SocketAddr,
    folder: TempDir,
    root: PathBuf,
    connections: Arc<Connections>,
    listening: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Connections {
    is_over: AtomicBool,
    running: Mutex<Vec<Child>>,
}

impl SshServer {
    pub fn start(repositories: &Repositories) -> Result<Self> {
        ensure!(Path::new(PROGRAM).exists(), "{PROGRAM} is missing (package openssh-server)");
        if !Path::new(EMPTY_FOLDER).exists() {
            let _ = fs::DirBuilder::new().mode(0o755).create(EMPTY_FOLDER);
        }
        // Not below the repositories: they are served, and this holds keys.
        let folder = TempDir::new()?;
        make_key(&folder.path().join("host_key"), "host")?;
        fs::write(folder.path().join("authorized_keys"), "")?;
        write_config(folder.path())?;
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let connections = Arc::<Connections>::default();
        let listening = std::thread::spawn({
            let (connections, folder) = (connections.clone(), folder.path().to_owned());
            move || connections.serve(&listener, &folder)
        });
        let root = repositories.path().join("bare");
        Ok(Self { address, folder, root, connections, listening: Some(listening) })
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
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

    /// Has another host key from now on.
    pub fn change_host_key(&self) -> Result<()> {
        for name in ["host_key", "host_key.pub"] {
            fs::remove_file(self.folder.path().join(name))?;
        }
        make_key(&self.folder.path().join("host_key"), "host")
    }

    /// What it has said so far, for a test that fails.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        self.connections.is_over.store(true, Ordering::SeqCst);
        // So that it looks.
        let _ = TcpStream::connect(self.address);
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
        for mut child in self.connections.lock().drain(..) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Connections {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Child>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, listener: &TcpListener, folder: &Path) {
        for stream in listener.incoming() {
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            let mut running = self.lock();
            running.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
            // A connection that gets no server is closed, and its client says so.
            running.extend(stream.ok().and_then(|stream| answer(stream, folder).ok()));
        }
    }
}

/// Starts the server of one connection.
fn answer(stream: TcpStream, folder: &Path) -> Result<Child> {
    let log = fs::File::options().create(true).append(true).open(folder.join("log"))?;
    let stream = OwnedFd::from(stream);
    let child = Command::new(PROGRAM)
        .args(["-i", "-e", "-f"])
        .arg(folder.join("sshd_config"))
        .env_clear()
        .stdin(stream.try_clone()?)
        .stdout(stream)
        .stderr(Stdio::from(log))
        .spawn();
    child.with_context(|| format!("starting {PROGRAM}"))
}

fn write_config(folder: &Path) -> Result<()> {
    let path = folder.display();
    let text = format!(
        "HostKey {path}/host_key\n\
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
         LogLevel VERBOSE\n"
    );
    Ok(fs::write(folder.join("sshd_config"), text)?)
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
