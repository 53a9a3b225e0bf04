//! The OCI runtime, driven through its standard command line (OCI runtime command line interface).

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::protocol::Orders;
use crate::error::Doing;
use crate::folders::RunFolder;
use crate::{EngineError, Refusal};

/// Longest message of the runtime that is passed on, in characters.
const MESSAGE_MAX: usize = 500;

pub(super) struct Runtime<'a> {
    pub run: &'a RunFolder,
    pub orders: &'a Orders,
}

impl Runtime<'_> {
    /// Makes the container; its command waits. The two files become the command's output.
    pub fn create(&self, stdout: OwnedFd, stderr: OwnedFd) -> Result<(), EngineError> {
        let mut command = self.command("create");
        command.arg("--bundle").arg(self.run.path()).arg("--pid-file").arg(self.run.pid());
        command.stdout(stdout).stderr(stderr);
        self.finish(command, "creating the container")
    }

    pub fn start(&self) -> Result<(), EngineError> {
        self.finish(self.command("start"), "starting the container")
    }

    /// Removes the runtime's own record of the container, and its processes if any are left.
    pub fn delete(&self) -> Result<(), EngineError> {
        let mut command = self.command("delete");
        command.arg("--force");
        self.finish(command, "deleting the container")
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.orders.runtime);
        command.arg("--root").arg(&self.orders.runtime_root);
        command.arg("--log").arg(self.run.runtime_log()).args(["--log-format", "json", verb]);
        command.env_clear().current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn finish(&self, mut command: Command, doing: &str) -> Result<(), EngineError> {
        // A message of an earlier call must not be taken for one of this call.
        match fs::remove_file(self.run.runtime_log()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(EngineError::host(doing, error));
            }
            _ => {}
        }
        command.arg(self.orders.id.as_str());
        let status = command.status().doing(|| format!("{doing} with {}", self.orders.runtime.display()))?;
        if status.success() {
            return Ok(());
        }
        let log = fs::read_to_string(self.run.runtime_log()).unwrap_or_default();
        let message = last_error(&log).unwrap_or_else(|| format!("the runtime ended with {status}"));
        Err(explain(&message, doing))
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
