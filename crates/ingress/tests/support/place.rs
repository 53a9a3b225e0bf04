//! An ingress as a process of its own.

use std::fs;

use ingress::{Client, Launch, ProcessConfig};
use rustix::process::{Pid, Signal, kill_process};

use super::until;

/// A place for one ingress process. What is left of it at the end of a test is killed.
pub struct Place {
    pub folder: tempfile::TempDir,
    pub config: ProcessConfig,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = ProcessConfig {
            http: "127.0.0.1:0".parse().unwrap(),
            control: folder.path().join("ingress.sock"),
            state: folder.path().join("state"),
        };
        Self { folder, config }
    }

    pub fn launch(&self) -> Launch {
        let program = env!("CARGO_BIN_EXE_ingress-role").into();
        Launch { program, args: Vec::new(), log: Some(self.folder.path().join("log/ingress.log")) }
    }

    pub async fn client(&self) -> Client {
        Client::connect_or_spawn(self.launch(), self.config.clone()).await.unwrap()
    }

    /// Every living process that was started for this place.
    pub fn processes(&self) -> Vec<Pid> {
        let ours = self.config.control.as_os_str().as_encoded_bytes();
        let is_ours = |process: &fs::DirEntry| {
            let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
            command.windows(ours.len()).any(|window| window == ours)
        };
        let pid = |process: fs::DirEntry| Pid::from_raw(process.file_name().to_string_lossy().parse().ok()?);
        fs::read_dir("/proc").unwrap().flatten().filter(is_ours).filter_map(pid).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for process in self.processes() {
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

pub fn pid(of: u32) -> Pid {
    Pid::from_raw(of as i32).unwrap()
}

pub async fn until_gone(process: Pid) {
    until("the process is gone", async || {
        let state =
            fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).unwrap_or_default();
        state.is_empty() || state.contains(") Z ")
    })
    .await;
}
