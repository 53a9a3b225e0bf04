//! Commands as processes, and a server of the test's own.

#[path = "../../../client/tests/support/mod.rs"]
mod support;

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::Answer;
pub use support::{Request, Server};
use tempfile::TempDir;

/// How a command ended.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// A user with an empty home, and the commands that they run.
pub struct User {
    pub home: TempDir,
    pub variables: Vec<(&'static str, String)>,
}

impl User {
    pub fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    /// One whose environment names the server and a key.
    pub fn of(server: &Server) -> Self {
        let variables = vec![("DARSENA_URL", server.url()), ("DARSENA_TOKEN", "canary-key".to_owned())];
        Self { variables, ..Self::new() }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cli-alone"));
        command.args(arguments).env_clear().env("HOME", self.home.path());
        command.envs(self.variables.iter().map(|(name, value)| (*name, value)));
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(arguments, "")
    }

    pub fn run_with(&self, arguments: &[&str], stdin: &str) -> Ended {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that reads nothing may be gone already.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        let ended = Ended {
            code: output.status.code().expect("it was not killed"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        assert!(!ended.stderr.contains("canary-key"), "the key was printed: {}", ended.stderr);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!said.contains("canary-token"), "the token was printed: {said}");
        ended
    }
}

/// An answer with 200.
pub fn ok(body: Value) -> Answer {
    (200, "", body.to_string())
}

/// All rows on one page.
pub fn page(rows: &[Value]) -> Answer {
    ok(json!({"data": rows, "total": rows.len(), "offset": 0, "limit": 100}))
}

/// The full record of the application `web`, which answers at `url`.
pub fn application(url: &str) -> Value {
    json!({
        "id": "app-id", "name": "web", "display_name": "web", "status": null, "type": "app", "source": "dockerImage",
        "is_suspended": false, "company_id": "c", "project_id": null, "namespace": null, "cluster_id": "cl",
        "git_type": null, "repo_url": null, "default_branch": null, "docker_image": "nginx",
        "docker_registry_credential_id": null, "auto_deploy": false, "build_type": "dockerfile", "build_path": ".",
        "build_cache_enabled": false, "dockerfile_path": null, "docker_context": null, "pack_builder": null,
        "nixpacks_version": null, "buildpacks": [], "allow_deploy_paths": [], "ignore_deploy_paths": [],
        "hibernation_enabled": false, "hibernate_after_seconds": null, "created_by": null,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "url": url,
        "serving_deployment_id": "earlier"
    })
}

/// The body of the first request with this line.
pub fn sent(server: &Server, line: &str) -> Value {
    let requests = server.requests();
    let request = requests.iter().find(|request| request.line == line);
    let request = request.unwrap_or_else(|| panic!("{line} is not in {requests:#?}"));
    serde_json::from_str(&request.body).unwrap()
}
