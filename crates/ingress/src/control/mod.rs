//! The control socket: the control plane tells the ingress what to route and asks what it does.

pub(crate) mod protocol;
pub(crate) mod server;
