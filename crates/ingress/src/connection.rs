//! One client's connection: hyper reads requests from it, until one side ends it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::delivery::Delivery;
use crate::framing::MAX_HEAD;
use crate::guarded::{Guarded, Protocol};
use crate::headers::Origin;
use crate::places::Place;
use crate::proxy::{Connection, Proxy};
use crate::resets::Resets;

const MAX_FIELDS: usize = 100;

/// Requests of one connection at a time; the least that a server should allow (RFC 9113, 6.5.2).
const MAX_STREAMS: u32 = 100;

/// Requests given up before we looked at them, and those that we gave up for a client's mistake. More of either and the
/// connection ends (CVE-2023-44487, CVE-2025-8671).
const MAX_UNSEEN_RESETS: usize = 20;
const MAX_FAULTY_STREAMS: usize = 100;

/// What is kept for a client that does not take it, for each request. And the size of a frame: HPACK and CONTINUATION
/// limits of the parser follow from it and from [`MAX_HEAD`].
const MAX_SEND_BUFFER: usize = 64 << 10;
const MAX_FRAME: u32 = 16 << 10;

/// What a client may send ahead of what its application takes: for each request, and for all of a connection. It is
/// memory of ours; the library's defaults are sixteen and four times as much.
const REQUEST_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;

/// A silent HTTP/2 client is asked whether it is still there, and given as long to answer.
const HTTP2_PING: Duration = Duration::from_secs(20);

/// How long a connection that makes room for another one may take for a request that is just coming in.
const LAST_REQUEST: Duration = Duration::from_secs(1);

/// Serves a client until it or the process ends.
pub(crate) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    place: Arc<Place>,
    proxy: Arc<Proxy>,
    stop: CancellationToken,
) {
    let patience = proxy.timeouts.client;
    let Ok(local) = prepare(&stream, patience) else { return };
    let accepting = Guarded::accept(stream, proxy.timeouts.head);
    let accepted = tokio::select! {
        accepted = accepting => accepted,
        () = stop.cancelled() => None,
        () = place.wanted() => None,
    };
    let Some((io, protocol)) = accepted else { return };
    let origin = Origin { client: peer.ip().to_canonical(), local };
    let (is_tunnel, delivered) = (io.is_tunnel(), io.delivered());
    let connection = Arc::new(Connection { origin, place, is_tunnel, delivered });
    // Errors are the client's: it went away, or sent what is no HTTP and was told so.
    match protocol {
        Protocol::Http1 => {
            Delivery::watch(patience, serve_http1(io, connection, proxy, stop)).await;
        }
        Protocol::Http2 => serve_http2(io, connection, proxy, stop).await,
    }
}

async fn serve_http1(io: Guarded, connection: Arc<Connection>, proxy: Arc<Proxy>, stop: CancellationToken) {
    let idle = proxy.timeouts.idle;
    let place = connection.place.clone();
    let service = service_fn(move |request| {
        let (proxy, connection) = (proxy.clone(), connection.clone());
        async move { Ok::<_, Infallible>(proxy.handle(&connection, request).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .max_headers(MAX_FIELDS)
        .max_header_size(MAX_HEAD)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    let is_wanted = tokio::select! {
        _ = serving.as_mut() => return,
        () = stop.cancelled() => false,
        () = place.wanted() => true,
    };
    serving.as_mut().graceful_shutdown();
    finish(serving, is_wanted.then_some(&*place)).await;
}

async fn serve_http2(io: Guarded, connection: Arc<Connection>, proxy: Arc<Proxy>, stop: CancellationToken) {
    let patience = proxy.timeouts.client;
    let place = connection.place.clone();
    let (leaving, asked) = (proxy.leaving.clone(), CancellationToken::new());
    // A connection that is told to end before its first request would end without serving it.
    let may_leave = {
        let asked = asked.clone();
        async move { tokio::join!(leaving.cancelled(), asked.cancelled()) }
    };
    let resets = Arc::new(Resets::default());
    let counted = resets.clone();
    let service = service_fn(move |request| {
        asked.cancel();
        let (proxy, connection, begun) = (proxy.clone(), connection.clone(), counted.begin());
        async move {
            let answer = proxy.handle(&connection, request).await;
            begun.answered();
            Ok::<_, Infallible>(answer)
        }
    });
    let serving = http2::Builder::new(Streams { patience })
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_UNSEEN_RESETS)
        .max_local_error_reset_streams(MAX_FAULTY_STREAMS)
        .max_header_list_size(MAX_HEAD as u32)
        .max_frame_size(MAX_FRAME)
        .max_send_buf_size(MAX_SEND_BUFFER)
        .initial_stream_window_size(REQUEST_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(HTTP2_PING)
        .keep_alive_timeout(HTTP2_PING)
        .serve_connection(TokioIo::new(io), service);
    let mut serving = std::pin::pin!(serving);
    let is_wanted = tokio::select! {
        _ = serving.as_mut() => return,
        () = resets.too_many() => return,
        _ = may_leave => false,
        () = stop.cancelled() => false,
        () = place.wanted() => true,
    };
    serving.as_mut().graceful_shutdown();
    tokio::select! {
        () = finish(serving, is_wanted.then_some(&*place)) => {}
        () = resets.too_many() => {}
    }
}

/// Waits for the requests that are under way. A connection whose place is wanted waits for those that have begun.
async fn finish(serving: impl Future, wanted: Option<&Place>) {
    let mut serving = std::pin::pin!(serving);
    if let Some(place) = wanted {
        let ended = tokio::time::timeout(LAST_REQUEST, serving.as_mut()).await;
        if ended.is_ok() || place.is_idle() {
            return;
        }
    }
    serving.await;
}

/// Runs each request of HTTP/2 as a task, until its client has been too slow to take the answer.
#[derive(Clone)]
struct Streams {
    patience: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        tokio::spawn(Delivery::watch(self.patience, stream));
    }
}

/// Small pieces go out at once, and a peer that vanished is noticed even on a silent tunnel. So is one that is there and
/// takes nothing: twice the patience, so that a lost packet or two do not matter.
fn prepare(stream: &TcpStream, patience: Duration) -> std::io::Result<SocketAddr> {
    stream.set_nodelay(true)?;
    rustix::net::sockopt::set_socket_keepalive(stream, true)?;
    rustix::net::sockopt::set_tcp_keepidle(stream, Duration::from_secs(60))?;
    rustix::net::sockopt::set_tcp_keepintvl(stream, Duration::from_secs(20))?;
    let stuck = 2 * patience.as_millis();
    rustix::net::sockopt::set_tcp_user_timeout(stream, stuck.try_into().unwrap_or(u32::MAX))?;
    stream.local_addr()
}
