//! Answers connections of one listener until it is told to stop.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::dispatch::router;
use crate::seats::Seats;
use crate::stall::Stall;
use crate::state::ApiState;

/// The address at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// What one connection and all of them together may take.
#[derive(Clone, Copy)]
struct Limits {
    /// A client that does not finish its next request head in this time is cut off, also between two requests.
    head: Duration,
    /// So is one that takes nothing of an answer for so long.
    stall: Duration,
    /// More connections than that wait in the listener's queue.
    connections: usize,
    /// More connections of one client than that are closed at once.
    of_one_client: usize,
    /// The same for the machine itself.
    of_this_machine: usize,
}

const LIMITS: Limits = Limits {
    head: Duration::from_secs(15),
    stall: Duration::from_secs(30),
    connections: 1024,
    of_one_client: 128,
    of_this_machine: 512,
};

/// How much of a request head, and of an answer on its way, is kept for one connection.
const BUFFER_BYTES: usize = 64 * 1024;
/// Open requests get this long when the server stops.
const GRACE: Duration = Duration::from_secs(5);

/// Serves the API on a listener until `shutdown` resolves, then finishes what is open and returns.
pub async fn serve(
    listener: TcpListener,
    state: ApiState,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    serve_router(listener, router(state), shutdown).await
}

/// As [`serve`], for a router that holds more than the API, such as the console's files.
pub async fn serve_router(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    serve_within(LIMITS, listener, router, shutdown).await;
    Ok(())
}

async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
) {
    let seats = Seats::new(limits.of_one_client, limits.of_this_machine);
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let is_full = connections.len() >= limits.connections;
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if !is_full => match accepted {
                Ok((stream, peer)) => match seats.take(peer.ip()) {
                    Some(seat) => {
                        let serving = connection(limits, stream, Peer(peer), router.clone(), stopping.clone());
                        connections.spawn(async move {
                            serving.await;
                            drop(seat);
                        });
                    }
                    None => tracing::debug!(%peer, "a client has too many connections"),
                },
                Err(error) => refused_accept(&error).await,
            },
        }
    }
    drop(listener);
    let _ = stop.send(true);
    let all_done = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(GRACE, all_done).await;
}

/// A failed accept concerns one connection, or says that descriptors ran out, which passes.
async fn refused_accept(error: &io::Error) {
    tracing::warn!(%error, "a connection was not accepted");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

async fn connection(
    limits: Limits,
    stream: TcpStream,
    peer: Peer,
    router: Router,
    mut stopping: watch::Receiver<bool>,
) {
    let api = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer);
        api.call(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.head).max_buf_size(BUFFER_BYTES);
    let stream = TokioIo::new(Stall::new(stream, limits.stall));
    let served = builder.serve_connection(stream, service);
    tokio::pin!(served);
    tokio::select! {
        _ = served.as_mut() => return,
        _ = stopping.wait_for(|stop| *stop) => served.as_mut().graceful_shutdown(),
    }
    // Whatever is wrong with a connection that is being closed concerns its client only.
    let _ = served.await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    const SOON: Duration = Duration::from_secs(10);

    /// A server that answers with 64 KiB.
    async fn start(limits: Limits) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || vec![b'x'; 64 * 1024]));
        tokio::spawn(serve_within(limits, listener, router, std::future::pending()));
        address
    }

    /// The first bytes of an answer; nothing when the connection was closed instead.
    async fn first_bytes(stream: &mut TcpStream) -> Vec<u8> {
        let mut bytes = vec![0; 12];
        let read =
            tokio::time::timeout(SOON, stream.read_exact(&mut bytes)).await.expect("an answer or an end");
        read.map(|_| bytes).unwrap_or_default()
    }

    #[tokio::test]
    async fn a_client_that_reads_no_answer_is_cut_off() {
        let address = start(Limits { stall: Duration::from_millis(100), ..LIMITS }).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let asking = async { while stream.write_all(ASK).await.is_ok() {} };
        tokio::time::timeout(SOON, asking).await.expect("the connection ends");
    }

    #[tokio::test]
    async fn a_client_that_asks_nothing_more_is_cut_off() {
        let address = start(Limits { head: Duration::from_millis(100), ..LIMITS }).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(ASK).await.unwrap();
        let mut answer = Vec::new();
        tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await.expect("an end").unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn a_client_has_so_many_connections_and_gets_one_back_for_each_that_ends() {
        let address = start(Limits { of_this_machine: 2, ..LIMITS }).await;
        let mut open = Vec::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(ASK).await.unwrap();
            assert_eq!(first_bytes(&mut stream).await, b"HTTP/1.1 200");
            open.push(stream);
        }
        let mut third = TcpStream::connect(address).await.unwrap();
        assert_eq!(first_bytes(&mut third).await, b"", "one too many is closed at once");
        open.pop();
        let again = async {
            loop {
                let mut stream = TcpStream::connect(address).await.unwrap();
                if stream.write_all(ASK).await.is_ok() && first_bytes(&mut stream).await == b"HTTP/1.1 200" {
                    break;
                }
            }
        };
        tokio::time::timeout(SOON, again).await.expect("a connection");
    }

    #[tokio::test]
    async fn a_request_head_is_bounded() {
        let address = start(LIMITS).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(2 * BUFFER_BYTES));
        // The server may have closed before all is sent.
        let _ = stream.write_all(head.as_bytes()).await;
        assert_ne!(first_bytes(&mut stream).await, b"HTTP/1.1 200");
    }
}
