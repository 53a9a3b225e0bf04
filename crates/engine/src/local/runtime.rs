//! Which OCI runtime is used, and whether it can do what containers need of it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use super::{Local, host};
use crate::EngineError;

const PATIENCE: Duration = Duration::from_secs(10);

impl Local {
    /// The runtime, after a look at it.
    pub(super) async fn runtime(&self) -> Result<PathBuf, EngineError> {
        let look = || async {
            let path = self.runtime_path()?;
            look_at(&path).await?;
            Ok(path)
        };
        self.runtime.get_or_try_init(look).await.cloned()
    }

    pub(super) fn runtime_path(&self) -> Result<PathBuf, EngineError> {
        let missing =
            || EngineError::host("looking for the OCI runtime", "runc is not installed (apt install runc)");
        self.config.runtime.clone().or_else(|| host::find_program("runc")).ok_or_else(missing)
    }
}

/// Runs it and gives its version. One that would leave the filter of system calls away without a word is
/// refused.
pub(super) async fn look_at(runtime: &Path) -> Result<String, EngineError> {
    let fail = |why: String| EngineError::host(format!("trying the OCI runtime {}", runtime.display()), why);
    let version = output(runtime, "--version").await.map_err(fail)?;
    // A runtime from before the command `features` names the library when it has it.
    let filters = match output(runtime, "features").await {
        Ok(features) => serde_json::from_str::<Value>(&features)
            .ok()
            .and_then(|f| f["linux"]["seccomp"]["enabled"].as_bool()),
        Err(_) => Some(version.contains("libseccomp")),
    };
    match filters {
        Some(true) => Ok(version.lines().next().unwrap_or_default().to_owned()),
        _ => Err(fail(
            "it was built without seccomp, which keeps containers from the kernel's dangerous calls"
                .to_owned(),
        )),
    }
}

/// What a program prints when it is run with one argument.
pub(super) async fn output(program: &Path, arg: &str) -> Result<String, String> {
    let run = Command::new(program)
        .arg(arg)
        .env_clear()
        .current_dir("/")
        // A Ctrl-C at the terminal is for the control plane alone.
        .process_group(0)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(PATIENCE, run).await {
        Err(_) => Err("it did not end in time".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(output)) if !output.status.success() => Err(output.status.to_string()),
        Ok(Ok(output)) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
    }
}
