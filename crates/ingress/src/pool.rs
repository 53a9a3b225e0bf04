//! Open connections to backends, kept apart by backend: one is never used for another backend's request, not
//! even when a later container has the same address.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::answer::Reason;
use crate::body::RequestBody;
use crate::table::{Backend, RouteTable};

/// Idle connections kept for one backend.
const MAX_IDLE: usize = 64;

/// After so long an idle connection is closed.
const IDLE_FOR: Duration = Duration::from_secs(30);

/// A connection this young is trusted with a request that could not be sent twice: application servers close
/// idle connections after seconds.
const YOUNG: Duration = Duration::from_secs(1);

const MAX_ANSWER_FIELDS: usize = 200;
const MAX_ANSWER_HEAD: usize = 128 << 10;

/// Idle connections of all backends.
#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<HashMap<String, Vec<Idle>>>,
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
        for id in routed {
            pool.entry(id.to_owned()).or_default();
        }
    }

    /// Closes what was idle for too long.
    pub(crate) fn sweep(&self) {
        let mut pool = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        for idle in pool.values_mut() {
            idle.retain(|one| !one.sender.is_closed() && one.since.elapsed() < IDLE_FOR);
        }
    }
}

/// A fresh connection to a backend.
pub(crate) async fn connect(backend: &Backend, within: Duration) -> Result<SendRequest<RequestBody>, Reason> {
    let stream = match tokio::time::timeout(within, TcpStream::connect(backend.address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => return Err(Reason::Refused),
        Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => return Err(Reason::ConnectTimeout),
        Ok(Err(_)) => return Err(Reason::Unreachable),
        Err(_) => return Err(Reason::ConnectTimeout),
    };
    // Without it small pieces of a stream would wait for each other.
    stream.set_nodelay(true).map_err(|_| Reason::Unreachable)?;
    let (sender, connection) = http1::Builder::new()
        .max_headers(MAX_ANSWER_FIELDS)
        .max_buf_size(MAX_ANSWER_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Reason::Closed)?;
    // Its errors reach the request that they concern; an idle connection's end concerns nobody.
    tokio::spawn(connection.with_upgrades());
    Ok(sender)
}
