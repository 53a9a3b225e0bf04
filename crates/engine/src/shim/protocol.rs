//! What the engine and a supervisor say to each other.
//!
//! While a container is made, the supervisor reports on a pipe; after that it answers on a socket. Both carry
//! one JSON document a line.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use model::ContainerId;
use serde::{Deserialize, Serialize};

use crate::{EngineError, Exit, Refusal};

/// The longest time that can be asked for, in milliseconds: a month. A moment further away than the clock can tell
/// would be a fault.
pub(crate) const LONGEST_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// A time as it travels.
pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(LONGEST_MS).min(LONGEST_MS)
}

/// What a supervisor needs to know besides the container's spec; no secrets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub id: ContainerId,
    /// The OCI runtime, and the folder for its own state.
    pub runtime: PathBuf,
    pub runtime_root: PathBuf,
    pub layers: PathBuf,
    pub data: PathBuf,
    pub address: Ipv4Addr,
    pub stop_signal: i32,
    pub memory_mb: u32,
    /// Group of the container and group of supervisors, without a leading slash.
    pub cgroup: String,
    pub supervisors_cgroup: String,
}

/// What a supervisor reports while it makes the container.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub(crate) enum Report {
    /// Its namespaces are there: the network can be put in.
    Namespaces { pid: i32 },
    /// The container waits to be started.
    Ready,
    /// It gave up and leaves nothing behind but its folders.
    Failed(Trouble),
}

/// What the engine asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(crate) enum Ask {
    State,
    Start,
    /// Answered when the container has ended.
    Stop {
        grace_ms: u64,
    },
    /// Answered when the container has ended.
    Wait,
    /// Runs a command beside the container's own; answered when it has ended, at the latest after `limit_ms`.
    /// It is ended at once when the connection is closed.
    Exec {
        args: Vec<String>,
        limit_ms: u64,
    },
}

/// What the supervisor answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub(crate) enum Answer {
    State {
        is_started: bool,
        pid: i32,
    },
    Started,
    Ended {
        exit: Exit,
    },
    Executed {
        code: i32,
        output_tail: String,
    },
    /// The command of [`Ask::Exec`] had not ended in time and was killed.
    TookTooLong {
        output_tail: String,
    },
    /// Another command is run at this moment.
    Busy,
    Failed(Trouble),
}

/// An error that travels.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Trouble {
    Refused(Refusal),
    Host { doing: String, why: String },
}

impl From<EngineError> for Trouble {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Refused(refusal) => Trouble::Refused(refusal),
            EngineError::Host { doing, why } => Trouble::Host { doing, why },
            other => Trouble::Host { doing: "supervising the container".into(), why: other.to_string() },
        }
    }
}

impl From<Trouble> for EngineError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused(refusal) => EngineError::Refused(refusal),
            Trouble::Host { doing, why } => EngineError::Host { doing, why },
        }
    }
}
