//! The unpack process from outside: started for one layer, fed, asked how it ended.

use std::process::Stdio;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};

use crate::disk::Scratch;
use crate::unpack::report::{Refusal, RefusalKind, Report, Unpacked};
use crate::unpack::{self, FILES, TRASH};
use crate::{Cause, Config};

/// Largest report that is read, in bytes.
const MAX_REPORT: u64 = 128 << 20;
const MAX_STDERR: u64 = 4 << 10;

/// A running unpack process. Dropped, it is killed.
pub(super) struct Unpacker {
    child: Child,
    input: ChildStdin,
    report: tokio::task::JoinHandle<(Vec<u8>, Vec<u8>)>,
}

impl Unpacker {
    /// Starts the role in a fresh folder.
    pub fn start(config: &Config, scratch: &Scratch) -> Result<Self, Cause> {
        use std::os::unix::fs::DirBuilderExt;
        for (name, mode) in [(FILES, 0o755), (TRASH, 0o700)] {
            let folder = scratch.path().join(name);
            std::fs::DirBuilder::new()
                .mode(mode)
                .create(&folder)
                .map_err(|error| Cause::storage("make", folder, error))?;
        }
        let limits = config.limits;
        let mut child = Command::new(&config.unpack.program)
            .args(&config.unpack.args)
            .args(unpack::arguments(scratch.path(), limits.unpacked_bytes, limits.entries))
            .env_clear()
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
        Ok(Self { child, input, report })
    }

    /// Feeds compressed bytes. An error means that the process reads no more; [`Unpacker::finish`] says why.
    pub async fn feed(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.input.write_all(bytes).await
    }

    /// Ends the input and waits for the report.
    pub async fn finish(mut self) -> Result<Unpacked, Refusal> {
        drop(self.input);
        let (out, err) = self.report.await.unwrap_or_default();
        let status = self.child.wait().await;
        match serde_json::from_slice(&out) {
            Ok(Report::Unpacked(unpacked)) => Ok(unpacked),
            Ok(Report::Refused(refusal)) => Err(refusal),
            Err(_) => {
                let ending = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                let said = crate::registry::clean(&String::from_utf8_lossy(&err));
                let reason = format!("it ended without a report ({ending}) {said}");
                Err(Refusal { kind: RefusalKind::Internal, reason: reason.trim_end().to_owned() })
            }
        }
    }
}
