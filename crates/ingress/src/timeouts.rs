//! How long the ingress waits for whom.

use std::time::Duration;

/// The time limits of the proxy. The default is what runs; tests shorten it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first byte of a request's head to its last, and from a connection to its first byte.
    pub head: Duration,
    /// Between two requests of one client connection. Longer than what load balancers keep idle connections.
    pub idle: Duration,
    /// Connecting to a backend.
    pub connect: Duration,
    /// From the last byte of a request, or the last one that came, to the head of the backend's answer.
    pub answer: Duration,
    /// For a client that everybody waits for, because it sends no more of its body or takes no more of its answer. One
    /// that goes on slowly has more: on the whole, 512 bytes a second.
    pub client: Duration,
    /// For what is in flight, and for kept connections to send one more request, after a newer ingress took over.
    /// Longer than `idle`.
    pub leave: Duration,
    /// For what is in flight when the process is told to end.
    pub finish: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(60),
            client: Duration::from_secs(60),
            leave: Duration::from_secs(300),
            finish: Duration::from_secs(10),
        }
    }
}
