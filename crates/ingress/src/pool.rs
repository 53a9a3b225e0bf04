//! Open connections to backends, kept apart by backend: one is never used for another backend's request, not
//! even when a later container has the same address.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::http1::SendRequest;
use hyper::client::conn::http2;

use crate::body::RequestBody;
use crate::table::RouteTable;

/// Idle connections kept for one backend.
const MAX_IDLE: usize = 64;

/// After so long an idle connection is closed.
const IDLE_FOR: Duration = Duration::from_secs(30);

/// A connection this young is trusted with a request that could not be sent twice: application servers close
/// idle connections after seconds.
const YOUNG: Duration = Duration::from_secs(1);

/// Requests that share a connection of HTTP/2. Every server takes as many (RFC 9113, 6.5.2), and what one took too many
/// would wait for the end of others, which may be streams without end.
pub(crate) const MAX_SHARING: usize = 100;

/// Idle connections of all backends.
#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<HashMap<String, Vec<Idle>>>,
    /// Connections to backends that speak HTTP/2.
    shared: Mutex<HashMap<String, Vec<Shared>>>,
}

struct Shared {
    sender: http2::SendRequest<RequestBody>,
    /// Copied for each request under way.
    lease: Lease,
}

/// Counts a request among those that share a connection, as long as it is kept.
#[derive(Clone, Default)]
pub(crate) struct Lease(Arc<()>);

impl Lease {
    fn sharing(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

struct Idle {
    sender: SendRequest<RequestBody>,
    since: Instant,
}

impl Pool {
    /// The most recently used idle connection to a backend, if there is one.
    pub(crate) fn take(&self, backend: &str, young_only: bool) -> Option<SendRequest<RequestBody>> {
        let mut pool = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = pool.get_mut(backend)?;
        while let Some(last) = idle.pop() {
            let age = last.since.elapsed();
            if young_only && age > YOUNG {
                // The ones before it are older still.
                idle.push(last);
                return None;
            }
            if last.sender.is_ready() && age < IDLE_FOR {
                return Some(last.sender);
            }
        }
        None
    }

    /// A connection to a backend that speaks HTTP/2 and takes one more request, if there is one.
    pub(crate) fn shared(&self, backend: &str) -> Option<(http2::SendRequest<RequestBody>, Lease)> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = shared.get_mut(backend)?;
        connections.retain(|one| !one.sender.is_closed());
        let free = connections.iter().find(|one| one.lease.sharing() < MAX_SHARING)?;
        Some((free.sender.clone(), free.lease.clone()))
    }

    /// Lets later requests share a connection, if its backend is still routed.
    pub(crate) fn share(&self, backend: &str, sender: &http2::SendRequest<RequestBody>) -> Lease {
        let lease = Lease::default();
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.contains_key(backend) {
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            let one = Shared { sender: sender.clone(), lease: lease.clone() };
            shared.entry(backend.to_owned()).or_default().push(one);
        }
        lease
    }

    /// Keeps a connection for the next request, if its backend is still routed.
    pub(crate) fn put(&self, backend: &str, sender: SendRequest<RequestBody>) {
        let mut pool = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(idle) = pool.get_mut(backend).filter(|idle| idle.len() < MAX_IDLE) {
            idle.push(Idle { sender, since: Instant::now() });
        }
    }

    /// Closes the idle connections to backends that the table no longer has: an application that is told to
    /// end waits for them.
    pub(crate) fn follow(&self, table: &RouteTable) {
        let routed: HashSet<&str> = table.backends().map(|backend| backend.id.as_str()).collect();
        let mut pool = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        pool.retain(|id, _| routed.contains(id.as_str()));
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.retain(|id, _| routed.contains(id.as_str()));
        for id in routed {
            pool.entry(id.to_owned()).or_default();
        }
    }

    /// Closes what was idle for too long, and shared connections that nobody needs beside another one.
    pub(crate) fn sweep(&self) {
        self.retain_idle(|one| !one.sender.is_closed() && one.since.elapsed() < IDLE_FOR);
        for connections in self.shared.lock().unwrap_or_else(PoisonError::into_inner).values_mut() {
            let mut is_first = true;
            connections.retain(|one| {
                let is_needed = one.lease.sharing() > 0 || std::mem::take(&mut is_first);
                is_needed && !one.sender.is_closed()
            });
        }
    }

    /// Closes what is idle: its files are needed.
    pub(crate) fn close_idle(&self) {
        self.retain_idle(|_| false);
        for connections in self.shared.lock().unwrap_or_else(PoisonError::into_inner).values_mut() {
            connections.retain(|one| one.lease.sharing() > 0);
        }
    }

    fn retain_idle(&self, keeps: impl Fn(&Idle) -> bool) {
        let mut pool = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        for idle in pool.values_mut() {
            idle.retain(&keeps);
        }
    }
}
