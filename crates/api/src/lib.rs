//! HTTP handlers of API v3 (`api/openapi-v3.yaml`).
//!
//! [`operation::OPERATIONS`] is the one authorization table; the routes are built from it. A request's way is in
//! `dispatch`, the handlers are in `routes`, one file a resource, and what needs neither store nor network is in
//! `rules`. The deployment side is reached through [`platform::Platform`] only.

mod audit;
mod auth;
mod call;
mod check;
mod dispatch;
mod error;
mod idempotency;
mod image_text;
mod network;
mod operation;
mod page;
mod permission;
pub mod platform;
mod routes;
mod rules;
mod seats;
mod serve;
mod stall;
mod state;
mod throttle;
mod token;

pub use dispatch::router;
pub use operation::{Needs, OPERATIONS, Operation};
pub use permission::Permission;
pub use serve::{Peer, serve, serve_router};
pub use state::{ApiConfig, ApiState};
pub use throttle::Rate;
