//! Replacing a backend while people use it.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use ingress::RouteTable;
use support::*;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Says its number and gives the nonce back. Once stopped it would answer with what no client accepts.
async fn numbered(number: usize) -> (SocketAddr, Arc<AtomicBool>) {
    let stopped = Arc::new(AtomicBool::new(false));
    let is_stopped = stopped.clone();
    let address = backend(move |request| {
        let is_stopped = is_stopped.clone();
        async move {
            let nonce =
                request.headers().get("x-nonce").map_or("none", |nonce| nonce.to_str().unwrap()).to_owned();
            let _ = request.into_body().collect().await;
            tokio::task::yield_now().await;
            let word = if is_stopped.load(Ordering::SeqCst) { "stopped" } else { "backend" };
            Response::new(Full::from(format!("{word} {number} {nonce}")))
        }
    })
    .await;
    (address, stopped)
}

fn table(number: usize, address: SocketAddr) -> RouteTable {
    RouteTable {
        routes: [("a".to_owned(), serving(&format!("b{number}"), address))].into(),
        ..RouteTable::default()
    }
}

/// Five hundred requests a second, by clients that each send twenty-five.
const CLIENTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(40);

/// How a client connects.
#[derive(Clone, Copy)]
enum Connects {
    /// For each request anew.
    Anew,
    /// Once, and keeps the connection.
    Once,
    /// Once, with HTTP/2.
    WithHttp2,
}

/// What the clients see and do.
#[derive(Default)]
struct Load {
    /// The youngest backend that every new request must reach.
    published: AtomicU64,
    is_over: AtomicBool,
    answered: AtomicU64,
}

/// One client: GET and POST in turn. Each answer must bear the request's nonce and a backend that is not older than the
/// one in force when the request began.
async fn use_it(http: SocketAddr, client: usize, connects: Connects, load: Arc<Load>) {
    let mut pace = tokio::time::interval(PAUSE);
    let mut kept = None;
    for count in 0.. {
        pace.tick().await;
        if load.is_over.load(Ordering::SeqCst) {
            return;
        }
        let nonce = format!("{client}-{count}");
        let before = load.published.load(Ordering::SeqCst);
        let mut sender = match kept.take() {
            Some(sender) => sender,
            None => Sender::connect(http, connects).await,
        };
        let answer = sender.send(count % 2 == 0, &nonce).await;
        let words: Vec<&str> = answer.split(' ').collect();
        assert_eq!((words[0], words[2]), ("backend", nonce.as_str()), "{answer}");
        assert!(words[1].parse::<u64>().unwrap() >= before, "{answer} after {before} was published");
        load.answered.fetch_add(1, Ordering::SeqCst);
        if !matches!(connects, Connects::Anew) {
            kept = Some(sender);
        }
    }
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    async fn connect(http: SocketAddr, connects: Connects) -> Self {
        let io = TokioIo::new(soon(TcpStream::connect(http)).await.unwrap());
        if let Connects::WithHttp2 = connects {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            return Self::Http2(sender);
        }
        let (sender, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        Self::Http1(sender)
    }

    /// The text of the answer, which must be a 200.
    async fn send(&mut self, is_get: bool, nonce: &str) -> String {
        let (method, body) = if is_get { ("GET", "") } else { ("POST", "body") };
        let request = Request::builder().method(method).header("x-nonce", nonce);
        let body = Full::from(Bytes::from(body));
        let answer = match self {
            Self::Http1(sender) => {
                soon(sender.ready()).await.unwrap();
                soon(sender.send_request(request.uri("/").header("host", "a").body(body).unwrap())).await
            }
            Self::Http2(sender) => {
                soon(sender.ready()).await.unwrap();
                soon(sender.send_request(request.uri("http://a/").body(body).unwrap())).await
            }
        };
        let answer = answer.unwrap_or_else(|error| panic!("{nonce}: {error:?}"));
        assert_eq!(answer.status(), 200, "{nonce}");
        let text = soon(answer.into_body().collect()).await.unwrap().to_bytes();
        String::from_utf8(text.to_vec()).unwrap()
    }
}

/// Switches from one backend to the next so often, with some requests between each two, while clients go on.
async fn switches_under_load(switches: u64) -> u64 {
    let here = here().await;
    let (first, mut old) = numbered(0).await;
    here.publish(table(0, first)).await;
    let load = Arc::new(Load::default());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let connects = [Connects::Anew, Connects::Once, Connects::Anew, Connects::WithHttp2][client % 4];
            tokio::spawn(use_it(here.http, client, connects, load.clone()))
        })
        .collect();
    for number in 1..=switches {
        let (address, stopped) = numbered(number as usize).await;
        here.publish(table(number as usize, address)).await;
        load.published.store(number, Ordering::SeqCst);
        let left = here.client.drain(&format!("b{}", number - 1), PATIENCE).await.unwrap().left;
        assert_eq!(left, 0);
        // After the drain nobody is there any more.
        old.store(true, Ordering::SeqCst);
        old = stopped;
        let wanted = load.answered.load(Ordering::SeqCst) + 10;
        until("requests are answered", async || {
            load.answered.load(Ordering::SeqCst) >= wanted
                || clients.iter().any(|client| client.is_finished())
        })
        .await;
    }
    load.is_over.store(true, Ordering::SeqCst);
    for client in clients {
        soon(client).await.unwrap();
    }
    load.answered.load(Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_switches_under_load_cost_no_request() {
    assert!(switches_under_load(50).await >= 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute or two; run by `make soak`"]
async fn a_thousand_switches_under_load_cost_no_request() {
    let began = std::time::Instant::now();
    let answered = switches_under_load(1000).await;
    let line =
        format!("1000 switches, {answered} requests in {:?}, none failed or mixed up\n", began.elapsed());
    std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
}

#[tokio::test]
async fn a_later_backend_at_the_same_address_gets_a_connection_of_its_own() {
    let here = here().await;
    let act = |mut stream: TcpStream| async move {
        while !read_head(&mut stream).await.is_empty() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
    };
    let (address, connections) = raw_backend(act).await;
    for (number, requests, expected) in [(1, 3, 1), (2, 3, 2), (2, 1, 2)] {
        here.publish(table(number, address)).await;
        for _ in 0..requests {
            assert!(here.get("a", "/").await.ends_with("ok"));
        }
        assert_eq!(connections.load(Ordering::SeqCst), expected);
    }
}

#[tokio::test]
async fn kept_connections_close_when_their_backend_is_no_longer_routed() {
    let here = here().await;
    let (closed, mut is_closed) = tokio::sync::mpsc::unbounded_channel();
    let act = move |mut stream: TcpStream| {
        let closed = closed.clone();
        async move {
            while !read_head(&mut stream).await.is_empty() {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
            closed.send(()).unwrap();
        }
    };
    here.publish(table(1, raw_backend(act).await.0)).await;
    assert!(here.get("a", "/").await.ends_with("ok"));
    assert!(is_closed.try_recv().is_err());
    here.publish(RouteTable::default()).await;
    soon(is_closed.recv()).await.unwrap();
}
