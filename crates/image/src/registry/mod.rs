//! The registry client.

use std::fmt;

/// Where a registry stopped answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stalled {
    Connecting,
    Answering,
    Sending,
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stalled::Connecting => "accepted no connection",
            Stalled::Answering => "did not answer",
            Stalled::Sending => "sent nothing more",
        })
    }
}
