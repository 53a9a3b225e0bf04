//! What the rest of Darsena knows about running containers. Nothing here speaks of paths or process ids, so
//! that an engine on another machine can stand in.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use model::image::RootFs;
use model::log::LogLine;
use model::{AppId, CompanyId, ContainerId, DeploymentId, Limits, Timestamp};
use serde::{Deserialize, Serialize};

use crate::EngineError;

/// Runs containers, and looks after guests: processes of others that are no containers. Every call is safe to repeat.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Makes a container ready to start: files, network, limits; its command has not run yet. A whole one that
    /// exists already is left as it is; a half-made or ended one is made anew (its logs are kept).
    async fn create(&self, spec: &ContainerSpec) -> Result<(), EngineError>;

    /// Runs the command and gives the address of its port, whether or not anything listens there yet. Starting
    /// a running container gives the address again; one that has ended gives [`EngineError::Exited`].
    async fn start(&self, id: &ContainerId) -> Result<SocketAddr, EngineError>;

    /// Sends the stop signal, and kills whatever is left after `grace`. A container that has ended or that is
    /// not known is fine.
    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<(), EngineError>;

    /// Removes every trace: processes, files, logs, network, limits. An unknown container is fine.
    async fn remove(&self, id: &ContainerId) -> Result<(), EngineError>;

    /// Runs a command inside a running container and waits for its end, for health probes: with the user,
    /// environment, working folder, rights and limits of the container's own process. `args` is program and
    /// arguments, looked up in the container's `PATH`; there is no shell unless the image has one and it is named.
    ///
    /// One command at a time: a second one waits for the first. After `limit` the command is killed with
    /// everything that it started and that did not leave its session, and [`EngineError::TookTooLong`] is given;
    /// the same happens at once when nobody waits for the outcome any more. A command that ends leaves no
    /// background process of its process group behind. (As ever, ended children whose parent did not collect them
    /// fall to the container's first process, and count among its processes until that one collects them.)
    ///
    /// It costs about as much as starting a small program: some 50 ms of processor time, and for a moment some
    /// 4 MB of the container's memory and a few of its processes.
    async fn exec(
        &self,
        id: &ContainerId,
        args: &[String],
        limit: Duration,
    ) -> Result<ExecOutcome, EngineError>;

    /// Where a container stands now.
    async fn status(&self, id: &ContainerId) -> Result<Status, EngineError>;

    /// Waits for the end of a container; one that has ended gives its [`Exit`] at once.
    async fn wait(&self, id: &ContainerId) -> Result<Exit, EngineError>;

    /// Every container of this installation, ended and half-made ones included, in order of id.
    async fn list(&self) -> Result<Vec<ContainerId>, EngineError>;

    /// The TCP addresses on which a container accepts connections, for hints such as "it listens on
    /// 127.0.0.1:3000, not on 0.0.0.0". Empty when it does not run.
    async fn listening(&self, id: &ContainerId) -> Result<Vec<SocketAddr>, EngineError>;

    /// What a container printed, oldest line first. Empty for an unknown container.
    async fn logs(&self, id: &ContainerId, query: &LogQuery) -> Result<Vec<LogLine>, EngineError>;

    /// Puts a process and all that descends from it under limits, and connects its network namespace, which must be
    /// one of its own, as a container's: the same addresses and the same rules of what it may reach. Repeating it for a
    /// process that is there limits and connects it anew; another process takes the place of the one before, which is
    /// dismissed.
    async fn admit(&self, guest: &Guest) -> Result<(), EngineError>;

    /// Kills whatever is left of a guest and takes limits and network away. Gives whether the kernel killed any of it
    /// for want of memory. An unknown one is fine.
    async fn dismiss(&self, id: DeploymentId) -> Result<bool, EngineError>;

    /// Puts back what others may have taken away from under the containers, such as firewall rules, and dismisses
    /// guests that an earlier process of the platform admitted. For every start of the platform, and now and then.
    async fn mend(&self) -> Result<(), EngineError>;

    /// Removes every container and every trace that this installation left on the machine. Open the engine anew
    /// to use it again.
    async fn down(&self) -> Result<(), EngineError>;

    /// What this machine offers for running containers, for `darsena doctor`.
    async fn check(&self) -> Vec<Check>;
}

/// A container to make.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerSpec {
    pub id: ContainerId,
    pub company: CompanyId,
    pub app: AppId,
    /// A DNS label.
    pub hostname: String,
    pub rootfs: RootFs,
    /// Program and arguments, at least one word; the program is looked up in the container's own `PATH`.
    pub args: Vec<String>,
    /// `(name, value)`; of a name that comes twice the last value counts. Often secrets: not printed.
    pub env: Vec<(String, String)>,
    /// `""`, `user`, `uid`, `user:group`, `uid:gid`, looked up in the image's own `/etc/passwd`.
    pub user: String,
    /// Absolute path inside the container; made when missing. `""` means `/`.
    pub cwd: String,
    /// Signal number, 1 to 64.
    pub stop_signal: i32,
    pub limits: Limits,
    /// The TCP port that the command is expected to listen on.
    pub port: u16,
}

impl std::fmt::Debug for ContainerSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.env.iter().map(|(name, _)| name).collect();
        f.debug_struct("ContainerSpec")
            .field("id", &self.id)
            .field("app", &self.app)
            .field("user", &self.user)
            .field("cwd", &self.cwd)
            .field("env", &names)
            .field("limits", &self.limits)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// A process that is no container, and stands in a network namespace of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// The deployment that it works for. It has one guest at a time.
    pub id: DeploymentId,
    /// Process id. A child of the caller, which has not been waited for, so that the number stays its own.
    pub pid: u32,
    pub limits: Limits,
}

/// Where a container stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not known here.
    Absent,
    /// Half-made or ready: [`Engine::create`] makes sure that it is whole, [`Engine::start`] starts it.
    Created,
    Running {
        address: SocketAddr,
    },
    Exited(Exit),
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// 0 to 255; 128 + n for signal n.
    pub code: i32,
    /// The kernel killed it because it wanted more than its memory limit.
    pub out_of_memory: bool,
    pub at: Timestamp,
    /// Anything unusual about it, in plain words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What came of a command inside a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecOutcome {
    /// 0 to 255; 128 + n for signal n.
    pub code: i32,
    /// The last 4 KiB that it wrote to either output, as text without control characters but line ends and tabs.
    pub output_tail: String,
}

/// Which log lines to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogQuery {
    /// Only lines at or after this moment.
    pub from: Option<Timestamp>,
    /// Only lines before this moment.
    pub to: Option<Timestamp>,
    /// Only lines that hold this text, upper and lower case alike.
    pub contains: Option<String>,
    /// The newest so many of the lines that match.
    pub limit: usize,
}

impl LogQuery {
    /// The newest `limit` lines.
    pub fn newest(limit: usize) -> Self {
        Self { from: None, to: None, contains: None, limit }
    }
}

/// One thing that running containers needs, and whether this machine has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: String,
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// What to do when it is not in order.
    pub hint: Option<String>,
}
