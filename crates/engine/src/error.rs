//! What can go wrong with a container, by what the caller can do about it.

use std::io;
use std::time::Duration;

use model::{ContainerId, FailureCode};
use serde::{Deserialize, Serialize};

use crate::Exit;

/// Why a call of the engine failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The image or its settings cannot run as they are: a person has to change them.
    #[error("{0}")]
    Refused(Refusal),
    /// The container has ended, so it cannot be started: create it anew.
    #[error("the container has already ended: {}", words_of(.0))]
    Exited(Exit),
    /// No such container.
    #[error("there is no container {0}")]
    Unknown(ContainerId),
    /// A command inside a container had not ended in time and was killed.
    #[error("the command had not ended after {} ms and was killed", .limit.as_millis())]
    TookTooLong {
        limit: Duration,
        /// What it had written, see [`ExecOutcome`](crate::ExecOutcome).
        output_tail: String,
    },
    /// The machine lacks something, or one of its parts refused: `doctor` and the log help.
    #[error("{doing}: {why}")]
    Host { doing: String, why: String },
    /// Something of a container is still there; removing it again may succeed.
    #[error("not everything could be removed: {}", .0.join("; "))]
    Leftovers(Vec<String>),
}

/// Why something cannot run as asked, in final words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub code: FailureCode,
    pub message: String,
    pub hint: Option<String>,
}

impl Refusal {
    /// A refusal because of the image's configuration or the application's settings.
    pub(crate) fn config(message: impl Into<String>, hint: &str) -> Self {
        Self { code: FailureCode::ConfigInvalid, message: message.into(), hint: Some(hint.to_owned()) }
    }

    /// A refusal because the command cannot be run.
    pub(crate) fn command(message: impl Into<String>, hint: &str) -> Self {
        Self { code: FailureCode::CommandNotFound, message: message.into(), hint: Some(hint.to_owned()) }
    }
}

impl EngineError {
    pub(crate) fn host(doing: impl Into<String>, why: impl ToString) -> Self {
        Self::Host { doing: doing.into(), why: why.to_string() }
    }

    /// The stable word for the cause.
    pub fn code(&self) -> FailureCode {
        match self {
            EngineError::Refused(refusal) => refusal.code,
            EngineError::Exited(exit) if exit.out_of_memory => FailureCode::OutOfMemory,
            EngineError::Exited(_) => FailureCode::ExitedEarly,
            EngineError::TookTooLong { .. } => FailureCode::Timeout,
            EngineError::Host { why, .. } if is_disk_full(why) => FailureCode::DiskFull,
            EngineError::Unknown(_) | EngineError::Host { .. } | EngineError::Leftovers(_) => {
                FailureCode::InternalError
            }
        }
    }

    /// What to do now.
    pub fn hint(&self) -> Option<String> {
        match self {
            EngineError::Refused(refusal) => refusal.hint.clone(),
            EngineError::Host { .. } => Some("`darsena doctor` checks what this machine offers".to_owned()),
            EngineError::Exited(_)
            | EngineError::Unknown(_)
            | EngineError::TookTooLong { .. }
            | EngineError::Leftovers(_) => None,
        }
    }
}

/// Turns an I/O error into one that says what was being done.
pub(crate) trait Doing<T> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, EngineError>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, EngineError> {
        self.map_err(|error| EngineError::host(doing(), error.into()))
    }
}

fn words_of(exit: &Exit) -> String {
    match (&exit.detail, exit.out_of_memory) {
        (Some(detail), _) => format!("exit code {}, {detail}", exit.code),
        (None, true) => format!("exit code {}, out of memory", exit.code),
        (None, false) => format!("exit code {}", exit.code),
    }
}

/// The operating system's own words for ENOSPC and EDQUOT.
fn is_disk_full(why: &str) -> bool {
    why.contains("No space left on device") || why.contains("Disk quota exceeded")
}
