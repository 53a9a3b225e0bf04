//! The registry client (OCI distribution-spec): manifests and blobs, over https, with tokens.
//!
//! Its first duty is where a credential may travel: to the registry's own host, and to the token realm that
//! the registry names when that is of the same registrable domain. Never along a redirect, and over plain http
//! only to a registry that the administrator named.

mod address;
mod answer;
mod challenge;
mod client;
mod place;
mod token;
mod transport;

use std::fmt;

pub(crate) use answer::clean;
pub(crate) use client::{BlobError, Client, Fetched, What, digest_of};
pub(crate) use place::Place;

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
