//! How the containers of a serving release are, as their keeper sees them.

use model::Timestamp;

/// How one container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub phase: Running,
    /// How often it was started again since this control plane looks after it.
    pub restarts: u32,
    /// How it ended last, in words: `code 3`, `killed: out of memory at 512 MB`, or why it did not come up.
    pub last_end: Option<String>,
    pub last_end_at: Option<Timestamp>,
}

/// What the keeper does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Running {
    /// It answers.
    Running,
    /// It runs and does not answer as its readiness probe wants.
    NotReady,
    /// It is being started or asked whether it is ready.
    Starting,
    /// It ended, and is started again at this moment.
    BackingOff { until: Timestamp },
}

impl Condition {
    /// Before anything is known.
    pub const NEW: Self = Self { phase: Running::Starting, restarts: 0, last_end: None, last_end_at: None };
}
