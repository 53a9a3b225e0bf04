//! The unpack process from outside: started for one layer, fed, asked how it ended.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinHandle;

use crate::disk::Scratch;
use crate::unpack::report::{Refusal, RefusalKind, Report, Unpacked};
use crate::unpack::{self, FILES, TRASH};
use crate::{Cause, Config};

/// Largest report that is read, in bytes: its names, each byte of them escaped.
const MAX_REPORT: u64 = 16 << 20;
const MAX_STDERR: u64 = 4 << 10;

/// A running unpack process with its folder. Dropped, it is killed, and the folder removed once it has ended.
pub(super) struct Unpacker {
    running: Option<Running>,
}

struct Running {
    child: Child,
    input: ChildStdin,
    report: JoinHandle<(Vec<u8>, Vec<u8>)>,
    scratch: Scratch,
}

impl Unpacker {
    /// Starts the role in a fresh folder, for a layer of at most `max_bytes` unpacked.
    pub fn start(config: &Config, scratch: Scratch, max_bytes: u64) -> Result<Self, Cause> {
        for (name, mode) in [(FILES, 0o755), (TRASH, 0o700)] {
            let folder = scratch.path().join(name);
            // Set apart from making it, so that the mask of this process does not count.
            fs::create_dir(&folder)
                .and_then(|()| fs::set_permissions(&folder, Permissions::from_mode(mode)))
                .map_err(|error| Cause::storage("make", folder, error))?;
        }
        let mut child = Command::new(&config.unpack.program)
            .args(&config.unpack.args)
            .args(unpack::arguments(scratch.path(), max_bytes, config.limits.entries))
            .env_clear()
            .envs(failpoint::environment())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                Cause::Unpack(format!("{} cannot be started: {error}", config.unpack.program.display()))
            })?;
        let missing = || Cause::Unpack("it has no pipes".to_owned());
        let input = child.stdin.take().ok_or_else(missing)?;
        let (stdout, stderr) = child.stdout.take().zip(child.stderr.take()).ok_or_else(missing)?;
        let report = tokio::spawn(async move {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let (mut stdout, mut stderr) = (stdout.take(MAX_REPORT), stderr.take(MAX_STDERR));
            let _ = tokio::join!(stdout.read_to_end(&mut out), stderr.read_to_end(&mut err));
            (out, err)
        });
        Ok(Self { running: Some(Running { child, input, report, scratch }) })
    }

    /// Feeds compressed bytes. `false` means that the process reads no more; [`Unpacker::finish`] says why.
    pub async fn feed(&mut self, bytes: &[u8]) -> bool {
        match &mut self.running {
            Some(running) => running.input.write_all(bytes).await.is_ok(),
            None => false,
        }
    }

    /// Ends the input and waits for the report. The files come with it; without success they are gone.
    pub async fn finish(&mut self) -> Result<(Unpacked, Scratch), Refusal> {
        let Some(Running { mut child, input, report, scratch }) = self.running.take() else {
            return Err(internal("it was asked twice how it ended".to_owned()));
        };
        drop(input);
        let (out, err) = report.await.unwrap_or_default();
        let status = child.wait().await;
        let refusal = match serde_json::from_slice(&out) {
            Ok(Report::Unpacked(unpacked)) => match unpacked.checked() {
                Ok(unpacked) => return Ok((unpacked, scratch)),
                Err(refusal) => refusal,
            },
            Ok(Report::Refused(refusal)) => refusal,
            Err(_) => {
                let ending = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                let said = crate::registry::clean(&String::from_utf8_lossy(&err));
                internal(format!("it ended without a report ({ending}) {said}").trim_end().to_owned())
            }
        };
        discard(scratch).await;
        Err(refusal)
    }
}

impl Drop for Unpacker {
    fn drop(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        // Without a runtime the process is killed all the same, and the folder goes when the store is opened.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = running.child.kill().await;
                discard(running.scratch).await;
            });
        }
    }
}

/// Removes a folder, which may take long, beside the runtime's own work.
pub(super) async fn discard(scratch: Scratch) {
    let _ = tokio::task::spawn_blocking(move || drop(scratch)).await;
}

fn internal(reason: String) -> Refusal {
    Refusal { kind: RefusalKind::Internal, reason }
}
