//! An installation for one test: `darsena serve` on free ports, set up, with a command line that is signed in.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::Port;

use crate::leftovers;

/// The binary under test.
pub const DARSENA: &str = env!("CARGO_BIN_EXE_darsena");
/// How long anything may take that has no limit of its own.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running installation. Dropping it stops everything and looks for leftovers.
pub struct Installation {
    data: tempfile::TempDir,
    serve: Option<Child>,
    pub api: SocketAddr,
    pub http: SocketAddr,
    /// Nobody else gets them, also while the control plane or the ingress is away.
    _ports: [Port; 2],
    pub token: String,
    setting: Setting,
}

/// What an installation of a test is told beyond its addresses.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// Registries without https.
    pub insecure: Vec<String>,
    /// Registries with https at a private address.
    pub private: Vec<String>,
    /// Git servers without https.
    pub insecure_git: Vec<String>,
    /// Git servers with https or ssh at a private address.
    pub private_git: Vec<String>,
    /// Where the base images of made Dockerfiles come from.
    pub base_images: Option<String>,
    /// A certificate authority to trust beside none other.
    pub authority: Option<PathBuf>,
    /// Level of the log, `debug` when it is empty.
    pub log: String,
    /// Folder of points at which the test holds a process; see the crate `failpoint`.
    pub failpoints: Option<PathBuf>,
    /// The program that serves; the one under test without it.
    pub program: Option<PathBuf>,
}

/// Whether the test can run here; says so when it cannot.
#[expect(clippy::print_stderr, reason = "what did not run is said aloud")]
pub fn can_run() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        eprintln!("not run: needs root");
    }
    is_root
}

impl Installation {
    /// Starts one that may ask these registries without https, and makes the first account.
    pub fn start(insecure_registries: &[&str]) -> Self {
        let insecure = insecure_registries.iter().map(|&registry| registry.to_owned()).collect();
        Self::start_with(Setting { insecure, ..Setting::default() })
    }

    /// Starts one with this setting.
    pub fn start_with(setting: Setting) -> Self {
        let data = tempfile::Builder::new().prefix("darsena-e2e.").tempdir_in("/var/tmp").unwrap();
        Self::start_in(data, setting)
    }

    /// The same in a folder that the test made.
    pub fn start_in(data: tempfile::TempDir, setting: Setting) -> Self {
        let (api, http) = (Port::reserve().unwrap(), Port::reserve().unwrap());
        let mut installation = Self {
            data,
            serve: None,
            api: api.address(),
            http: http.address(),
            _ports: [api, http],
            token: String::new(),
            setting,
        };
        installation.serve();
        installation.set_up();
        installation
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// From the next start on, this program serves.
    pub fn use_program(&mut self, program: PathBuf) {
        self.setting.program = Some(program);
    }

    /// Sends the control plane a signal and does not wait.
    pub fn signal_serve(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.serve_pid() as i32), signal).unwrap();
    }

    /// Starts `darsena serve` and waits until the API answers.
    pub fn serve(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.serve_log()).unwrap();
        let program = self.setting.program.clone().unwrap_or_else(|| DARSENA.into());
        let mut command = Command::new(program);
        command.arg("serve").arg("--data").arg(self.data());
        command.args(["--api", &self.api.to_string(), "--http", &self.http.to_string()]);
        for registry in &self.setting.insecure {
            command.args(["--insecure-registry", registry]);
        }
        for registry in &self.setting.private {
            command.args(["--private-registry", registry]);
        }
        for server in &self.setting.insecure_git {
            command.args(["--insecure-git", server]);
        }
        for server in &self.setting.private_git {
            command.args(["--private-git", server]);
        }
        if let Some(place) = &self.setting.base_images {
            command.args(["--base-images", place]);
        }
        if let Some(authority) = &self.setting.authority {
            command.env("SSL_CERT_FILE", authority);
        }
        if let Some(folder) = &self.setting.failpoints {
            command.env(failpoint::VARIABLE, folder);
        }
        let level = if self.setting.log.is_empty() { "debug" } else { &self.setting.log };
        let child =
            command.env("DARSENA_LOG", level).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        self.serve = Some(child.unwrap());
        let deadline = Instant::now() + PATIENCE;
        while !matches!(request(self.api, "localhost", "/v3/health"), Ok((200, _, _))) {
            let ended = self.serve.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "serve ended: {ended:?}\n{}", self.log());
            assert!(Instant::now() < deadline, "the API does not answer\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn set_up(&mut self) {
        let data = self.data().to_str().unwrap().to_owned();
        let url = self.api_url();
        let arguments = [
            "setup",
            "--url",
            &url,
            "--data",
            &data,
            "--email",
            "owner@example.com",
            "--company",
            "Acme",
            "--password-stdin",
            "--json",
        ];
        let output = self.run_with_input(&arguments, "a long enough password\n");
        let answer: Value = parse(&ok(&output));
        self.token = answer["api_key"].as_str().expect("setup prints an API key").to_owned();
    }

    /// `http://` and the address of the API.
    pub fn api_url(&self) -> String {
        format!("http://{}", self.api)
    }

    /// Runs a command of the CLI.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_with_input(arguments, "")
    }

    /// Runs a command that must succeed, and gives what it printed.
    pub fn run_ok(&self, arguments: &[&str]) -> String {
        ok(&self.run(arguments))
    }

    /// Runs a command with `--json` that must succeed.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<_> = arguments.iter().copied().chain(["--json"]).collect();
        parse(&self.run_ok(&arguments))
    }

    /// Runs a command that must fail with exit code 1, and gives its standard error.
    pub fn run_failing(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?} should fail: {words}");
        words
    }

    /// Runs a command with this on its standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Output {
        use std::io::Write;
        let mut child = self.spawn(arguments);
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Starts a command and does not wait for it.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        Command::new(DARSENA)
            .args(arguments)
            .env_clear()
            .env("HOME", self.data())
            .env("DARSENA_URL", self.api_url())
            .env("DARSENA_TOKEN", &self.token)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Asks the API, which must agree.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(self.api).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (host, token, body) = (self.api, &self.token, body.to_string());
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {answer}");
        parse(body)
    }

    /// From its next deployment on, an application has so many instances.
    pub fn set_instances(&self, app: &str, count: usize) {
        let app = self.json(&["apps", "show", app])["id"].as_str().unwrap().to_owned();
        let path = format!("/v3/applications/{app}/processes");
        let processes = self.call("GET", &path, &Value::Null);
        let process = rows(&processes)[0]["id"].as_str().unwrap().to_owned();
        self.call("PATCH", &format!("{path}/{process}"), &serde_json::json!({ "instances": count }));
    }

    /// Sends a request with a host through the ingress. Gives status and body.
    pub fn get(&self, host: &str, path: &str) -> (u16, String) {
        let (status, _, body) = self.request(host, path);
        (status, body)
    }

    /// Status, value of the header `x-release`, body.
    pub fn request(&self, host: &str, path: &str) -> (u16, Option<String>, String) {
        request(self.http, host, path)
            .unwrap_or_else(|error| panic!("GET http://{host}{path}: {error}\n{}", self.log()))
    }

    /// Kills the control plane at once, as a crash would.
    pub fn kill_serve(&mut self) {
        let mut child = self.serve.take().expect("serve runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Ends the control plane by a signal and waits for it.
    pub fn end_serve(&mut self, signal: nix::sys::signal::Signal) {
        let mut child = self.serve.take().expect("serve runs");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), signal).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "serve does not end\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        };
        assert!(status.success(), "serve ended with {status}\n{}", self.log());
    }

    /// Process ids of the containers' first processes, from the cgroups of this installation.
    pub fn container_pids(&self) -> Vec<u32> {
        let group = PathBuf::from("/sys/fs/cgroup/pids").join(format!("darsena-{}", self.instance()));
        let group =
            if group.exists() { group } else { Path::new("/sys/fs/cgroup").join(group.file_name().unwrap()) };
        let mut pids = Vec::new();
        for entry in std::fs::read_dir(group).into_iter().flatten().flatten() {
            let procs = std::fs::read_to_string(entry.path().join("cgroup.procs")).unwrap_or_default();
            pids.extend(procs.lines().filter_map(|line| line.parse::<u32>().ok()));
        }
        pids.sort_unstable();
        pids
    }

    /// Folders of layers that are not in place yet.
    pub fn layers_under_way(&self) -> Vec<PathBuf> {
        let folders = |path: &Path| -> Vec<PathBuf> {
            std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
        };
        folders(&self.data().join("images/tmp")).iter().flat_map(|process| folders(process)).collect()
    }

    /// Process id of the control plane.
    pub fn serve_pid(&self) -> u32 {
        self.serve.as_ref().expect("serve runs").id()
    }

    /// Process id of the ingress, from its command line.
    pub fn ingress_pid(&self) -> u32 {
        let socket = self.run_folder().join("ingress.sock").display().to_string();
        let pids = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let cmdline = std::fs::read(entry.path().join("cmdline")).ok()?;
            String::from_utf8_lossy(&cmdline).contains(&socket).then_some(pid)
        });
        pids.last().expect("an ingress runs")
    }

    /// The name that everything of this installation bears.
    pub fn instance(&self) -> String {
        leftovers::instance_of(&self.data().canonicalize().unwrap())
    }

    /// The folder of sockets and container state.
    pub fn run_folder(&self) -> PathBuf {
        Path::new("/run/darsena").join(self.instance())
    }

    /// What the control plane logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.serve_log()).unwrap_or_default()
    }

    fn serve_log(&self) -> PathBuf {
        self.data().join("serve.log")
    }
}

impl Drop for Installation {
    #[expect(clippy::print_stderr, reason = "the log belongs to the failed test's output")]
    fn drop(&mut self) {
        if let Some(mut child) = self.serve.take() {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(child.id() as i32),
                nix::sys::signal::SIGINT,
            );
            let _ = child.wait();
        }
        let down = Command::new(DARSENA).arg("down").arg("--data").arg(self.data()).output();
        let clean = leftovers::wait_until_clean(&self.data().canonicalize().unwrap());
        if std::thread::panicking() {
            eprintln!("{}", self.log());
            return;
        }
        let down = down.unwrap();
        assert!(down.status.success(), "darsena down: {}", String::from_utf8_lossy(&down.stderr));
        if let Err(left) = clean {
            panic!("left behind:\n{left}\n{}", self.log());
        }
    }
}

/// A GET over a connection of its own.
pub fn request(http: SocketAddr, host: &str, path: &str) -> std::io::Result<(u16, Option<String>, String)> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(http)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let release = head.lines().find_map(|line| line.strip_prefix("x-release: ")).map(str::to_owned);
    Ok((status, release, body.to_owned()))
}

/// Waits until something is so.
pub fn eventually(what: &str, is_so: impl FnMut() -> bool) {
    eventually_within(PATIENCE, what, is_so);
}

/// The same for what has a build in it, which takes longer on a busy machine.
pub fn after_a_build(what: &str, is_so: impl FnMut() -> bool) {
    eventually_within(5 * PATIENCE, what, is_so);
}

fn eventually_within(patience: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {} s: {what}", patience.as_secs());
        // Not more often: a question is often a command, and the API has a limit for each key.
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What a command that must succeed printed.
pub fn ok(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {errors}", output.status);
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// The rows of a list, whether it comes bare or in an envelope.
pub fn rows(list: &Value) -> Vec<Value> {
    let rows = list.get("data").unwrap_or(list);
    rows.as_array().unwrap_or_else(|| panic!("no list: {list}")).clone()
}
