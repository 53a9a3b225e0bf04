//! The OCI runtime, driven through its standard command line (OCI runtime command line interface).

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use serde::Deserialize;

use super::helper::Helper;
use super::protocol::Orders;
use crate::error::Doing;
use crate::folders::{RunFolder, make_private};
use crate::{EngineError, Refusal};

/// Longest message of the runtime that is passed on, in characters.
const MESSAGE_MAX: usize = 500;
/// How long the runtime may take to make a container, and for anything else, on a slow and busy machine. The
/// engine waits a little longer than that for us.
const CREATE_LIMIT: Duration = Duration::from_secs(50);
const CALL_LIMIT: Duration = Duration::from_secs(15);

pub(super) struct Runtime<'a> {
    pub run: &'a RunFolder,
    pub orders: &'a Orders,
}

impl Runtime<'_> {
    /// Makes the container; its command waits. The two files become the command's output.
    pub fn create(&self, stdout: OwnedFd, stderr: OwnedFd) -> Result<(), EngineError> {
        let mut command = self.command("create", &self.run.runtime_log());
        command.arg("--bundle").arg(self.run.path()).arg("--pid-file").arg(self.run.pid());
        command.stdout(stdout).stderr(stderr);
        self.finish(command, CREATE_LIMIT, "creating the container")
    }

    pub fn start(&self) -> Result<(), EngineError> {
        self.finish(self.command("start", &self.run.runtime_log()), CALL_LIMIT, "starting the container")
    }

    /// Removes the runtime's own record of the container, and its processes if any are left.
    pub fn delete(&self) -> Result<(), EngineError> {
        let mut command = self.command("delete", &self.run.runtime_log());
        command.arg("--force");
        self.finish(command, CALL_LIMIT, "deleting the container")
    }

    /// Runs a command beside the container's own, with everything else as it is for that one. The runtime ends
    /// when the command runs, and its process is then in [`RunFolder::exec_pid`].
    pub fn begin_exec(&self, args: &[String], output: OwnedFd) -> Result<Helper, EngineError> {
        let doing = || "running a command in the container".to_owned();
        absent_is_fine(fs::remove_dir_all(self.run.exec())).doing(doing)?;
        make_private(&self.run.exec()).doing(doing)?;
        let mut command = self.command("exec", &self.run.exec_log());
        command.arg("--detach").arg("--pid-file").arg(self.run.exec_pid());
        command.stdout(output.try_clone().doing(doing)?).stderr(output);
        command.arg(self.orders.id.as_str()).args(args);
        Helper::spawn(&mut command).doing(doing)
    }

    /// Why [`Runtime::begin_exec`] came to nothing.
    pub fn explain_exec(&self, status: ExitStatus) -> EngineError {
        let doing = "running a command in the container";
        let message = self.message(&self.run.exec_log(), status);
        match message.contains("exec: \"") {
            true => EngineError::Refused(Refusal::command(
                format!("the command cannot be run in the container: {message}"),
                "name a program that is in the image",
            )),
            false => EngineError::host(doing, message),
        }
    }

    fn command(&self, verb: &str, log: &Path) -> Command {
        let mut command = Command::new(&self.orders.runtime);
        command.arg("--root").arg(&self.orders.runtime_root);
        command.arg("--log").arg(log).args(["--log-format", "json", verb]);
        command.env_clear().current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn finish(&self, mut command: Command, limit: Duration, doing: &str) -> Result<(), EngineError> {
        // A message of an earlier call must not be taken for one of this call.
        absent_is_fine(fs::remove_file(self.run.runtime_log())).doing(|| doing.to_owned())?;
        command.arg(self.orders.id.as_str());
        let status = Helper::spawn(&mut command)
            .and_then(|helper| helper.finish(limit))
            .doing(|| format!("{doing} with {}", self.orders.runtime.display()))?;
        match status.success() {
            true => Ok(()),
            false => Err(explain(&self.message(&self.run.runtime_log(), status), doing)),
        }
    }

    /// The runtime's own words about a failure.
    fn message(&self, log: &Path, status: ExitStatus) -> String {
        let log = fs::read_to_string(log).unwrap_or_default();
        last_error(&log).unwrap_or_else(|| format!("the runtime ended with {status}"))
    }
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// The last error in the runtime's log, one JSON document a line.
fn last_error(log: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Entry {
        level: String,
        msg: String,
    }
    let entries = log.lines().rev().filter_map(|line| serde_json::from_str::<Entry>(line).ok());
    let message = entries.into_iter().find(|entry| entry.level == "error" || entry.level == "fatal")?.msg;
    Some(message.chars().take(MESSAGE_MAX).collect())
}

/// Tells what a person can change in the image from what is wrong with the machine.
fn explain(message: &str, doing: &str) -> EngineError {
    let is_command = message.contains("exec: \"") || message.contains("exec failed");
    if message.contains("chdir to cwd") {
        let hint = "let the image's user enter the folder, or set another WORKDIR";
        let message = format!("the working folder cannot be entered: {message}");
        return EngineError::Refused(Refusal::config(message, hint));
    }
    if is_command {
        let hint = "check ENTRYPOINT and CMD of the image, or the start command";
        return EngineError::Refused(Refusal::command(format!("the command cannot be run: {message}"), hint));
    }
    EngineError::host(doing, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtimes_last_error_is_told_in_the_right_class() {
        let log = "{\"level\":\"warning\",\"msg\":\"slow\",\"time\":\"x\"}\n\
                   {\"level\":\"error\",\"msg\":\"exec: \\\"x\\\": permission denied\",\"time\":\"x\"}\n";
        let message = last_error(log).unwrap();
        assert!(matches!(explain(&message, "creating"), EngineError::Refused(_)));
        assert!(matches!(explain("cgroup: no space", "creating"), EngineError::Host { .. }));
        assert_eq!(last_error("not json"), None);
    }
}
