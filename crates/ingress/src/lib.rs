//! From requests to containers: listener, router, proxy, probe, drain.
//!
//! The ingress is a process of its own ([`run`]). It routes by a table that the control plane publishes over
//! a Unix socket ([`Client`]) and saves it, so it keeps serving, even across its own restart, while the
//! control plane is gone.

mod answer;
mod client;
mod control;
mod error;
mod exchange;
mod probe;
mod process;
mod proxy;
mod table;

pub use answer::Reason;
pub use client::{Client, Drained, Hello, Launch, ThroughFailure};
pub use error::IngressError;
pub use probe::{ProbeFailure, probe_once};
pub use process::{ProcessConfig, run};
pub use table::{Backend, Route, RouteState, RouteTable};
