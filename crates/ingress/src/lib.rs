//! From requests to containers: listener, router, proxy, probe, drain.
//!
//! The ingress is a process of its own ([`run`]). It routes by a table that the control plane publishes over
//! a Unix socket ([`Client`]) and saves it, so it keeps serving, even across its own restart, while the
//! control plane is gone.
//!
//! A request's way: `listener` takes the connection if `places` has one, `guarded` lets through what `framing` finds
//! unambiguous, hyper reads it in `connection`, and `proxy` tells the story: `host` says whom it is for, `routing` which
//! backend answers, `headers` what passes, `forward` sends it on a connection of `pool` or from `dial`, `body` carries
//! the pieces. `pace`, `delivery`, `resets` and `meter` notice clients that keep an application busy for nothing.

mod answer;
mod body;
mod build;
mod client;
mod complaints;
mod connection;
mod control;
mod delivery;
mod dial;
mod error;
mod exchange;
mod forward;
mod framing;
mod guarded;
mod handover;
mod headers;
mod host;
mod limits;
mod listener;
mod log_file;
mod meter;
mod pace;
mod places;
mod pool;
mod probe;
mod process;
mod proxy;
mod resets;
mod routing;
mod saved;
mod table;
mod timeouts;
mod tunnel;

pub use answer::Reason;
pub use client::{Client, Drained, Hello, Launch, ThroughFailure};
pub use error::IngressError;
pub use handover::socket_names;
pub use limits::Limits;
pub use probe::{ProbeFailure, probe_once};
pub use process::{Ingress, ProcessConfig, run};
pub use table::{Backend, BackendProtocol, Route, RouteState, RouteTable};
pub use timeouts::Timeouts;
