//! What a container prints.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Which of its two outputs a container wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    Stdout,
    Stderr,
}

/// One line, without its line end. Bytes that are not UTF-8 were replaced by U+FFFD.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    pub at: Timestamp,
    pub stream: Stream,
    pub text: String,
}
