//! How far a deployment is, while it builds and pulls.

use model::Timestamp;
use model::image::Digest;

/// How far a deployment is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Of the Dockerfile, those that have begun; none where nothing is built.
    pub steps: Vec<BuildStep>,
    pub layers: Vec<LayerProgress>,
}

/// A step of a Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildStep {
    /// From 1, over all stages.
    pub number: u32,
    pub of: u32,
    /// Name of its stage, or the stage's number from 1.
    pub stage: String,
    /// The instruction, as written.
    pub text: String,
    pub state: BuildStepState,
    pub started_at: Timestamp,
    /// `None` while it runs.
    pub finished_at: Option<Timestamp>,
}

/// Where a step of a Dockerfile is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildStepState {
    Running,
    Done,
    /// Its result was there from an earlier build.
    Cached,
    Failed,
}

/// One layer; bytes are those on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerProgress {
    pub digest: Digest,
    pub done: u64,
    pub total: u64,
    pub state: LayerState,
}

/// What happens to a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerState {
    Waiting,
    Pulling,
    Done,
    /// It was on this machine already.
    Shared,
}

impl LayerState {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            LayerState::Waiting => "waiting",
            LayerState::Pulling => "pulling",
            LayerState::Done => "done",
            LayerState::Shared => "shared",
        }
    }
}
