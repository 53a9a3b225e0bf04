//! The closed room: a process of its own, in which the builder runs with nothing of the host but its programs.
//!
//! ```text
//! workshop ──starts──▶ keeper   root of the host, own mount namespace: mounts the volume, lays out the room's folders,
//!                       │       watches standard input, whose end is the end of everything
//!                       └▶ door    root of nobody's ids: user, network, IPC and UTS namespaces; told limits by its process id
//!                           └▶ room   first of its process ids, with the laid out folders for a root: runs the builder
//! ```
//!
//! Each is killed by the kernel when the one before it ends. Mounts, loop device and namespaces go with the last.

mod builder;
mod door;
mod folders;
mod inside;
mod keeper;
pub(crate) mod protocol;
mod pump;
mod volume;

use std::ffi::OsString;
use std::io::{BufRead, Write};
use std::process::ExitCode;

use protocol::{Orders, Report, Trouble};

/// Runs the role. Call it before anything starts threads. Its orders come on standard input.
pub fn run(args: &[OsString]) -> ExitCode {
    if !args.is_empty() {
        return ExitCode::from(2);
    }
    let orders = match read_orders() {
        Ok(orders) => orders,
        Err(trouble) => return failed(trouble),
    };
    match keeper::keep(&orders) {
        Ok(code) => code,
        Err(trouble) => failed(trouble),
    }
}

fn read_orders() -> Result<Orders, Trouble> {
    let mut line = zeroize::Zeroizing::new(Vec::new());
    std::io::stdin().lock().read_until(b'\n', &mut line).map_err(Trouble::machine("reading the orders"))?;
    serde_json::from_slice(&line).map_err(|_| Trouble::Machine("the orders cannot be read".to_owned()))
}

fn failed(trouble: Trouble) -> ExitCode {
    let _ = report(&Report::Failed(trouble));
    ExitCode::FAILURE
}

/// Fails when nobody listens any more.
fn report(report: &Report) -> std::io::Result<()> {
    let mut text = serde_json::to_vec(report)?;
    text.push(b'\n');
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&text)?;
    stdout.flush()
}
