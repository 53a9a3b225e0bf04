//! The public address: takes connections and has hyper read requests from them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::framing::MAX_HEAD;
use crate::guarded::{Guarded, Protocol};
use crate::headers::Origin;
use crate::proxy::{Connection, Proxy};

const MAX_FIELDS: usize = 100;
const MAX_STREAMS: u32 = 128;

/// A silent HTTP/2 client is asked whether it is still there, and given as long to answer.
const HTTP2_PING: Duration = Duration::from_secs(20);

/// Pause after a failed accept: it failed for want of files or memory, which another try at once would not find.
const PAUSE: Duration = Duration::from_millis(50);

/// Takes connections until told to stop or to leave. Those taken go on by themselves and end soon after a stop; after
/// a leave they end as soon as that costs nobody a request.
pub(crate) async fn listen(listener: TcpListener, proxy: Arc<Proxy>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
            () = proxy.leaving.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let serving = serve(stream, peer, proxy.clone(), stop.clone());
                proxy.tasks.spawn(serving);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// One client, until it or the process ends.
async fn serve(stream: TcpStream, peer: SocketAddr, proxy: Arc<Proxy>, stop: CancellationToken) {
    let Ok(local) = prepare(&stream) else { return };
    let accepting = Guarded::accept(stream, proxy.timeouts.head);
    let accepted = tokio::select! {
        accepted = accepting => accepted,
        () = stop.cancelled() => None,
    };
    let Some((io, protocol)) = accepted else { return };
    let timeouts = proxy.timeouts;
    let origin = Origin { client: peer.ip().to_canonical(), local };
    let connection = Arc::new(Connection { origin, is_tunnel: io.is_tunnel() });
    let (leaving, asked) = (proxy.leaving.clone(), CancellationToken::new());
    // A connection of HTTP/2 that is told to end before its first request would end without serving it.
    let may_leave = {
        let asked = asked.clone();
        async move { tokio::join!(leaving.cancelled(), asked.cancelled()) }
    };
    let service = service_fn(move |request| {
        asked.cancel();
        let (proxy, connection) = (proxy.clone(), connection.clone());
        async move { Ok::<_, Infallible>(proxy.handle(&connection, request).await) }
    });
    // Errors are the client's: it went away, or sent what is no HTTP and was told so.
    let io = TokioIo::new(io);
    match protocol {
        Protocol::Http1 => {
            let serving = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(timeouts.idle)
                .max_headers(MAX_FIELDS)
                .max_header_size(MAX_HEAD)
                .max_buf_size(MAX_HEAD)
                .serve_connection(io, service)
                .with_upgrades();
            let mut serving = std::pin::pin!(serving);
            tokio::select! {
                _ = serving.as_mut() => return,
                () = stop.cancelled() => serving.as_mut().graceful_shutdown(),
            }
            let _ = serving.await;
        }
        Protocol::Http2 => {
            let serving = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(MAX_STREAMS)
                .max_header_list_size(MAX_HEAD as u32)
                .max_send_buf_size(64 << 10)
                .keep_alive_interval(HTTP2_PING)
                .keep_alive_timeout(HTTP2_PING)
                .serve_connection(io, service);
            let mut serving = std::pin::pin!(serving);
            tokio::select! {
                _ = serving.as_mut() => return,
                _ = may_leave => serving.as_mut().graceful_shutdown(),
                () = stop.cancelled() => serving.as_mut().graceful_shutdown(),
            }
            let _ = serving.await;
        }
    }
}

/// Small pieces go out at once, and a peer that vanished is noticed even on a silent tunnel.
fn prepare(stream: &TcpStream) -> std::io::Result<SocketAddr> {
    stream.set_nodelay(true)?;
    rustix::net::sockopt::set_socket_keepalive(stream, true)?;
    rustix::net::sockopt::set_tcp_keepidle(stream, Duration::from_secs(60))?;
    rustix::net::sockopt::set_tcp_keepintvl(stream, Duration::from_secs(20))?;
    stream.local_addr()
}
