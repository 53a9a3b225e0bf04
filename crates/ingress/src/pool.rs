//! Open connections to backends, kept apart by backend: one is never used for another backend's request, not
//! even when a later container has the same address.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::http1::{self, SendRequest};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
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

/// A backend that is silent for so long while something is under way is asked whether it is there.
const HTTP2_PING: Duration = Duration::from_secs(20);

const MAX_ANSWER_FIELDS: usize = 200;
const MAX_ANSWER_HEAD: usize = 128 << 10;

/// Idle connections of all backends.
#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<HashMap<String, Vec<Idle>>>,
    /// One connection to each backend that speaks HTTP/2 takes all its requests.
    shared: Mutex<HashMap<String, http2::SendRequest<RequestBody>>>,
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

    /// The connection to a backend that speaks HTTP/2, if it is still good.
    pub(crate) fn shared(&self, backend: &str) -> Option<http2::SendRequest<RequestBody>> {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.get(backend).filter(|sender| !sender.is_closed()).cloned()
    }

    /// Lets later requests share a connection, if its backend is still routed.
    pub(crate) fn share(&self, backend: &str, sender: &http2::SendRequest<RequestBody>) {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.contains_key(backend) {
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            shared.insert(backend.to_owned(), sender.clone());
        }
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
    let stream = stream_to(backend, within).await?;
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

/// A fresh connection to a backend that speaks HTTP/2.
pub(crate) async fn connect_http2(
    backend: &Backend,
    within: Duration,
) -> Result<http2::SendRequest<RequestBody>, Reason> {
    let stream = stream_to(backend, within).await?;
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_ANSWER_HEAD as u32)
        .keep_alive_interval(HTTP2_PING)
        .keep_alive_timeout(HTTP2_PING)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Reason::Closed)?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn stream_to(backend: &Backend, within: Duration) -> Result<TcpStream, Reason> {
    let stream = match tokio::time::timeout(within, TcpStream::connect(backend.address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => return Err(Reason::Refused),
        Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => return Err(Reason::ConnectTimeout),
        Ok(Err(_)) => return Err(Reason::Unreachable),
        Err(_) => return Err(Reason::ConnectTimeout),
    };
    // Without it small pieces of a stream would wait for each other.
    stream.set_nodelay(true).map_err(|_| Reason::Unreachable)?;
    Ok(stream)
}
