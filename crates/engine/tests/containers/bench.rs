//! An engine of its own for every test, a small root filesystem, and a look at the machine afterwards.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use engine::{Config, ContainerSpec, Engine, LocalEngine, LogQuery, RoleCommand};
use model::image::{DiffId, Digest, RootFs};
use model::{AppId, CompanyId, ContainerId, DeploymentId, Limits};
use nix::unistd::Pid;
use tempfile::TempDir;

/// Long enough for a loaded machine, short enough to end a hanging test.
pub const DEADLINE: Duration = Duration::from_secs(30);

pub struct Bench {
    pub engine: LocalEngine,
    pub config: Config,
    folder: TempDir,
    layers: u16,
}

/// Copies a program by another process: were it open for writing in this one, a child that another test forks just
/// then would have it open too, and it could not be started ("text file busy").
pub fn copy_program(program: impl AsRef<Path>, place: &Path) {
    let copied = std::process::Command::new("cp").arg(program.as_ref()).arg(place).status();
    assert!(copied.unwrap().success(), "{} is copied", program.as_ref().display());
}

impl Bench {
    /// `None`, with a word about it, when this is not root.
    pub fn open() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            say("not run: needs root");
            return None;
        }
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let instance = format!("{:06x}{number:02x}", std::process::id() & 0xff_ffff);
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            instance,
            run: folder.path().join("run"),
            data: folder.path().join("containers"),
            layers: folder.path().join("layers"),
            shim: RoleCommand { program: env!("CARGO_BIN_EXE_engine-shim").into(), args: Vec::new() },
            runtime: None,
        };
        let engine = LocalEngine::open(config.clone()).unwrap();
        let mut bench = Self { engine, config, folder, layers: 0 };
        bench.layer(|root| {
            copy_program(probe(), &root.join("probe"));
            fs::create_dir_all(root.join("etc")).unwrap();
            fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/x\napp:x:1000:1001::/home/app:/x\n")
                .unwrap();
            fs::write(root.join("etc/group"), "root:x:0:\nextra:x:2000:app\n").unwrap();
            fs::create_dir_all(root.join("tmp")).unwrap();
            fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        });
        Some(bench)
    }

    /// Adds a layer on top of those so far; gives its folder too.
    pub fn layer(&mut self, fill: impl FnOnce(&Path)) -> PathBuf {
        let root = self.config.layers.join(diff_id(self.layers).hex()).join("fs");
        fs::create_dir_all(&root).unwrap();
        fill(&root);
        self.layers += 1;
        root
    }

    pub fn rootfs(&self) -> RootFs {
        RootFs { layers: (0..self.layers).map(diff_id).collect(), dir_fixes: Vec::new() }
    }

    /// A container that runs the probe with these words.
    pub fn spec(&self, words: &[&str]) -> ContainerSpec {
        let args = ["/probe"].iter().chain(words).map(|word| (*word).to_owned()).collect();
        ContainerSpec {
            id: ContainerId::of(DeploymentId::new(), 0),
            company: CompanyId::new(),
            app: AppId::new(),
            hostname: "web".into(),
            rootfs: self.rootfs(),
            args,
            env: vec![("PORT".into(), "8080".into())],
            user: String::new(),
            cwd: String::new(),
            stop_signal: 15,
            limits: Limits { memory_mb: 128, cpu_millis: 2000, pids: 64 },
            port: 8080,
        }
    }

    /// Runs a container to its end; gives the exit code and the lines it printed.
    pub async fn run(&self, spec: &ContainerSpec) -> (i32, Vec<String>) {
        self.engine.create(spec).await.unwrap();
        self.engine.start(&spec.id).await.unwrap();
        let exit =
            tokio::time::timeout(DEADLINE, self.engine.wait(&spec.id)).await.expect("it ends").unwrap();
        (exit.code, self.lines(&spec.id).await)
    }

    pub async fn lines(&self, id: &ContainerId) -> Vec<String> {
        let lines = self.engine.logs(id, &LogQuery::newest(10_000)).await.unwrap();
        lines.into_iter().map(|line| line.text).collect()
    }

    /// Starts a container and waits until it has printed `word`.
    pub async fn start_until(&self, spec: &ContainerSpec, word: &str) -> std::net::SocketAddr {
        self.engine.create(spec).await.unwrap();
        let address = self.engine.start(&spec.id).await.unwrap();
        self.until_printed(&spec.id, word).await;
        address
    }

    pub async fn until_printed(&self, id: &ContainerId, word: &str) {
        let deadline = Instant::now() + DEADLINE;
        while !self.lines(id).await.iter().any(|line| line.contains(word)) {
            assert!(Instant::now() < deadline, "{word:?} was not printed: {:?}", self.lines(id).await);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub fn run_folder(&self, id: &ContainerId) -> PathBuf {
        self.config.run.join("containers").join(id.as_str())
    }

    pub fn data_folder(&self, id: &ContainerId) -> PathBuf {
        self.config.data.join(id.as_str())
    }

    /// The process that supervises: the only one that has the container's state folder as its last argument.
    pub fn supervisor(&self, id: &ContainerId) -> Option<Pid> {
        let folder = format!("{}\0", self.run_folder(id).to_str().unwrap());
        let is_it = |pid: &i32| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.ends_with(folder.as_bytes()))
        };
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let mut pids = processes.filter_map(|p| p.file_name().to_str()?.parse::<i32>().ok());
        pids.find(is_it).map(Pid::from_raw)
    }

    /// The runtime at work on this container.
    pub fn runtime_of(&self, id: &ContainerId) -> Option<Pid> {
        let log = self.run_folder(id);
        let is_it = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut args = line.split(|byte| *byte == 0);
            args.next().is_some_and(|program| program.ends_with(b"/runc"))
                && args.any(|arg| Path::new(std::ffi::OsStr::from_bytes(arg)).starts_with(&log))
        };
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let mut pids = processes.filter_map(|p| p.file_name().to_str()?.parse::<i32>().ok());
        pids.find(is_it).map(Pid::from_raw)
    }

    /// The processes of a container, as the host numbers them.
    pub fn processes(&self, id: &ContainerId) -> Vec<i32> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mut pids: Vec<i32> = Vec::new();
        for hierarchy in cgroup_mounts(&mounts) {
            let group = hierarchy.join(format!("darsena-{}/{id}/cgroup.procs", self.config.instance));
            let text = fs::read_to_string(group).unwrap_or_default();
            pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
        }
        pids.sort();
        pids.dedup();
        pids
    }

    /// Waits until it is so.
    pub async fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !is_so() {
            assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Checks that nothing on the machine is this container's; what is on its way out gets a moment.
    pub async fn assert_gone(&self, id: &ContainerId) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let traces = self.traces_of(id);
            if traces.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "left behind: {traces:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn traces_of(&self, id: &ContainerId) -> Vec<String> {
        let mut traces = Vec::new();
        let folders =
            [self.run_folder(id), self.data_folder(id), self.config.run.join("runtime").join(id.as_str())];
        traces.extend(
            folders.iter().filter(|path| path.exists()).map(|path| format!("folder {}", path.display())),
        );
        let run = self.run_folder(id);
        let processes = self.processes_naming(&run);
        traces.extend((processes > 0).then(|| format!("{processes} processes")));
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let groups = cgroup_mounts(&mounts).into_iter();
        let groups = groups.map(|h| h.join(format!("darsena-{}/{id}", self.config.instance)));
        traces
            .extend(groups.filter(|group| group.exists()).map(|group| format!("cgroup {}", group.display())));
        traces
    }

    /// How many processes were started with a path beneath this folder.
    pub fn processes_naming(&self, folder: &Path) -> usize {
        let names = |line: &Vec<u8>| {
            line.split(|byte| *byte == 0)
                .any(|arg| Path::new(std::ffi::OsStr::from_bytes(arg)).starts_with(folder))
        };
        let processes = fs::read_dir("/proc").unwrap().flatten();
        processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok()).filter(names).count()
    }

    /// How many processes run this program with this word among its arguments.
    pub fn processes_running(&self, program: &Path, word: &str) -> usize {
        let runs = |line: &Vec<u8>| {
            let mut args = line.split(|byte| *byte == 0);
            args.next() == Some(program.as_os_str().as_bytes()) && args.any(|arg| arg == word.as_bytes())
        };
        let processes = fs::read_dir("/proc").unwrap().flatten();
        processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok()).filter(runs).count()
    }

    /// The host's ends of containers' connections.
    pub fn interfaces(&self) -> Vec<String> {
        let names = fs::read_dir("/sys/class/net").unwrap().flatten();
        let names = names.map(|interface| interface.file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(&format!("dar{}", self.config.instance))).collect()
    }

    /// Takes everything down and checks that the machine is as it was.
    pub async fn finish(self) {
        self.engine.down().await.unwrap();
        self.engine.down().await.unwrap();
        let traces = self.traces();
        assert!(traces.is_empty(), "left behind: {traces:#?}");
    }

    /// Everything on the machine that bears our name. Processes and interfaces that are on their way out get a
    /// moment.
    pub fn traces(&self) -> Vec<String> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let traces = self.traces_now();
            if traces.is_empty() || Instant::now() > deadline {
                return traces;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn traces_now(&self) -> Vec<String> {
        let mut traces = Vec::new();
        let folder = self.folder.path().to_str().unwrap();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        traces
            .extend(mounts.lines().filter(|line| line.contains(folder)).map(|line| format!("mount {line}")));
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&command).contains(folder) {
                traces.push(format!("process {:?}", String::from_utf8_lossy(&command)));
            }
        }
        traces.extend(self.interfaces().iter().map(|name| format!("interface {name}")));
        let tables = Command::new("/usr/sbin/nft").args(["list", "tables"]).output().unwrap();
        let tables = String::from_utf8(tables.stdout).unwrap();
        traces.extend(tables.lines().filter(|line| line.contains(&self.config.instance)).map(str::to_owned));
        for hierarchy in cgroup_mounts(&mounts) {
            let group = hierarchy.join(format!("darsena-{}", self.config.instance));
            if group.exists() {
                traces.push(format!("cgroup {}", group.display()));
            }
        }
        let networks = fs::read_dir("/run/darsena.machine").into_iter().flatten().flatten();
        let owners = networks.filter_map(|file| fs::read_to_string(file.path()).ok());
        traces
            .extend(owners.filter(|owner| owner.contains(folder)).map(|owner| format!("network of {owner}")));
        for path in [&self.config.run, &self.config.data] {
            if path.exists() {
                traces.push(format!("folder {}", path.display()));
            }
        }
        traces
    }
}

/// A failed test must not leave containers behind either.
impl Drop for Bench {
    fn drop(&mut self) {
        let config = self.config.clone();
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { LocalEngine::open(config).unwrap().down().await })
        });
        if let Ok(Err(error)) = cleaning.join() {
            say(&format!("cleaning up failed: {error}"));
        }
    }
}

/// How often a long test does what it does: `SOAK_ROUNDS`, or its own number.
pub fn rounds(own: u32) -> u32 {
    std::env::var("SOAK_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(own)
}

/// A word for whoever runs the tests.
#[expect(clippy::print_stdout, reason = "measured values and tests that did not run are told by printing")]
pub fn say(text: &str) {
    println!("{text}");
}

fn cgroup_mounts(mountinfo: &str) -> Vec<PathBuf> {
    let is_cgroup = |line: &&str| line.contains(" - cgroup");
    mountinfo.lines().filter(is_cgroup).filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from).collect()
}

fn diff_id(number: u16) -> DiffId {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    DiffId::new(Digest::from_sha256(bytes))
}

/// The program that runs in containers, compiled once for all tests.
pub fn probe() -> &'static Path {
    static PROBE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = PROBE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("probe");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/helpers/probe.rs");
        let flags =
            ["--edition=2024", "-Copt-level=1", "-Ctarget-feature=+crt-static", "-Cpanic=abort", "-o"];
        let rustc = option_env!("RUSTC").unwrap_or("rustc");
        let status = Command::new(rustc).args(flags).arg(&program).arg(source).status().unwrap();
        assert!(status.success(), "the probe does not compile");
        (folder, program)
    });
    path
}
