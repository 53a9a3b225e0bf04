//! The registry client (OCI distribution-spec): manifests and blobs, over https, with tokens.
//!
//! Its first duty is where a credential may travel: to the registry's own host, and to the token realm that
//! the registry names when that is of the same registrable domain. Never along a redirect to elsewhere, and over
//! plain http only to a registry that the administrator named and that is on this machine.

mod address;
mod answer;
mod caller;
mod challenge;
mod client;
mod fault;
mod place;
mod realm;
mod redact;
mod redirect;
mod refusal;
mod retry;
mod token;
mod transport;
mod verify;

use std::fmt;

pub(crate) use caller::Caller;
pub(crate) use client::{BlobError, Client, Fetched, What, digest_of};
pub(crate) use place::Place;
pub(crate) use redact::clean;

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
