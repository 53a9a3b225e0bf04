//! The room's process from outside.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use zeroize::Zeroizing;

use super::Role;
use crate::room::protocol::{GO, Orders, Report};

/// Longest report, in bytes: a line of 4 KiB, each byte of it escaped.
const LONGEST: usize = 64 << 10;
/// Most of what a role says that cannot report.
const MAX_STDERR: u64 = 4 << 10;
/// How long it may take to end once it is told to.
const PATIENCE: Duration = Duration::from_secs(30);

/// A room. It ends when its standard input does, which is also how it ends with this process.
pub(super) struct Room {
    child: Child,
    orders: Option<ChildStdin>,
    reports: ChildStdout,
    /// Bytes of reports that were not looked at yet.
    unread: Vec<u8>,
    stderr: ChildStderr,
}

impl Room {
    pub async fn start(role: &Role, orders: &Orders) -> io::Result<Self> {
        let mut child = Command::new(&role.program)
            .args(&role.args)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let no_pipes = || io::Error::other("it has no pipes");
        let mut stdin = child.stdin.take().ok_or_else(no_pipes)?;
        let stdout = child.stdout.take().ok_or_else(no_pipes)?;
        let stderr = child.stderr.take().ok_or_else(no_pipes)?;
        let mut text = Zeroizing::new(serde_json::to_vec(orders)?);
        text.push(b'\n');
        let mut room = Self { child, orders: None, reports: stdout, unread: Vec::new(), stderr };
        // One that ends at once says why in its report.
        let _ = stdin.write_all(&text).await;
        room.orders = Some(stdin);
        Ok(room)
    }

    /// Lets it go on once it is admitted.
    pub async fn go(&mut self) -> io::Result<()> {
        match &mut self.orders {
            Some(orders) => orders.write_all(GO.as_bytes()).await,
            None => Ok(()),
        }
    }

    /// The next report; `None`: it has ended. Safe to be dropped while it waits.
    pub async fn report(&mut self) -> io::Result<Option<Report>> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let report = serde_json::from_slice(&self.unread[..end]);
                self.unread.drain(..=end);
                return report.map(Some).map_err(io::Error::other);
            }
            if self.unread.len() > LONGEST {
                return Err(io::Error::other("a report without an end"));
            }
            if self.reports.read_buf(&mut self.unread).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Ends it, unless it has ended, and gives what it said beside its reports.
    pub async fn end(&mut self) -> String {
        self.orders = None;
        let mut said = Vec::new();
        let ended = async {
            let _ = (&mut self.stderr).take(MAX_STDERR).read_to_end(&mut said).await;
            self.child.wait().await
        };
        if tokio::time::timeout(PATIENCE, ended).await.is_err() {
            let _ = self.child.kill().await;
        }
        String::from_utf8_lossy(&said).trim().to_owned()
    }
}
