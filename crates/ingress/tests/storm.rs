//! Answers under cancelled and late requests: row X14 of the faults. Whatever clients give up and applications leave
//! open, a whole answer is always that of its own request.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use ingress::{Backend, BackendProtocol, Limits, Route, RouteTable, Timeouts};
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HOSTS: [&str; 3] = ["a", "b", "h2"];

/// Numbers that look like chance and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// What an application does with the request of a nonce: its pauses before the head and in the body.
fn manners(nonce: &str) -> (Duration, Duration) {
    let mut dice = Dice(nonce.bytes().fold(1, |sum, byte| sum * 31 + u64::from(byte)));
    let late = if dice.roll(20) == 0 { 400 } else { dice.roll(8) };
    (Duration::from_millis(late), Duration::from_millis(dice.roll(8)))
}

/// An application of HTTP/1 that answers with its name and the nonce, slowly, in two pieces, on kept connections.
async fn of_http1(name: &'static str) -> SocketAddr {
    let act = move |mut stream: TcpStream| async move {
        loop {
            let head = read_head(&mut stream).await;
            let Some(nonce) = head.lines().find_map(|line| line.strip_prefix("x-nonce: ")) else { return };
            let is_post = head.starts_with("POST");
            if is_post && stream.read_exact(&mut [0; 4]).await.is_err() {
                return;
            }
            let (before, between) = manners(nonce);
            tokio::time::sleep(before).await;
            let text = format!("{name} {nonce}");
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-Nonce: {nonce}\r\n\r\n", text.len());
            let (first, second) = text.split_at(text.len() / 2);
            for piece in [&head, first] {
                if stream.write_all(piece.as_bytes()).await.is_err() {
                    return;
                }
            }
            tokio::time::sleep(between).await;
            if stream.write_all(second.as_bytes()).await.is_err() {
                return;
            }
        }
    };
    raw_backend(act).await.0
}

/// The same with HTTP/2, in one piece.
async fn of_http2(name: &'static str) -> SocketAddr {
    let answer = move |request: Request<Incoming>| async move {
        let nonce = request.headers()["x-nonce"].to_str().unwrap().to_owned();
        let _ = request.into_body().collect().await;
        tokio::time::sleep(manners(&nonce).0).await;
        let response = http::Response::builder().header("x-nonce", &nonce);
        Ok::<_, std::convert::Infallible>(
            response.body(Full::<Bytes>::from(format!("{name} {nonce}"))).unwrap(),
        )
    };
    let act = move |stream: TcpStream| async move {
        let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = serving.serve_connection(TokioIo::new(stream), hyper::service::service_fn(answer)).await;
    };
    raw_backend(act).await.0
}

/// What came of the requests.
#[derive(Default)]
struct Tally {
    whole: AtomicU64,
    late: AtomicU64,
    given_up: AtomicU64,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

async fn connect(http: SocketAddr, with_http2: bool) -> Sender {
    let io = TokioIo::new(TcpStream::connect(http).await.unwrap());
    if with_http2 {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        return Sender::Http2(sender);
    }
    let (sender, connection) = http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    Sender::Http1(sender)
}

/// Asks all applications by chance, and gives up some requests at any moment.
async fn client(number: u64, http: SocketAddr, ends: Instant, tally: Arc<Tally>) {
    let mut dice = Dice(number);
    let with_http2 = number.is_multiple_of(2);
    let mut kept = None;
    let mut count = 0;
    while Instant::now() < ends {
        count += 1;
        let (host, nonce) = (HOSTS[dice.roll(3) as usize], format!("{number}-{count}"));
        let is_post = dice.roll(2) == 0;
        let uri = if with_http2 { format!("http://{host}/") } else { "/".to_owned() };
        let mut request = Request::builder()
            .method(if is_post { "POST" } else { "GET" })
            .uri(uri)
            .header("x-nonce", &nonce);
        if !with_http2 {
            request = request.header("host", host);
        }
        let request = request.body(Full::from(if is_post { "body" } else { "" })).unwrap();
        let mut sender = match kept.take() {
            Some(sender) => sender,
            None => connect(http, with_http2).await,
        };
        let asking = async {
            let answer = match &mut sender {
                Sender::Http1(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await?
                }
                Sender::Http2(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await?
                }
            };
            let (head, body) = answer.into_parts();
            Ok::<_, hyper::Error>((head, body.collect().await?.to_bytes()))
        };
        let patience = if dice.roll(3) == 0 { Duration::from_micros(dice.roll(8000)) } else { PATIENCE };
        match tokio::time::timeout(patience, asking).await {
            Ok(Ok((head, body))) if head.status == 200 => {
                assert_eq!(body, format!("{host} {nonce}"));
                assert_eq!(head.headers["x-nonce"], nonce.as_str());
                tally.whole.fetch_add(1, Ordering::SeqCst);
                kept = Some(sender);
            }
            Ok(Ok((head, _))) => {
                assert_eq!(
                    (head.status.as_u16(), &head.headers["darsena-ingress"]),
                    (504, &"answer-timeout".parse().unwrap())
                );
                tally.late.fetch_add(1, Ordering::SeqCst);
            }
            // One that gives up many requests of HTTP/2 loses its connection.
            Ok(Err(error)) => assert!(with_http2, "{nonce}: {error:?}"),
            Err(_) => {
                tally.given_up.fetch_add(1, Ordering::SeqCst);
                // A connection of HTTP/1 is gone with its request.
                kept = with_http2.then_some(sender);
            }
        }
    }
}

async fn no_answer_is_mixed_up(lasts: Duration) -> Arc<Tally> {
    // Some answers come too late, and the others not, unless the machine is very slow.
    let timeouts = Timeouts { answer: Duration::from_millis(200), ..patient() };
    let here = here_with(timeouts, Limits::default()).await;
    let h2c = Backend { protocol: BackendProtocol::H2c, ..speaks_http1("h2", of_http2("h2").await) };
    let h2c = Route { backends: vec![h2c], ..serving("h2", here.http) };
    let routes = [
        ("a".to_owned(), serving("a", of_http1("a").await)),
        ("b".to_owned(), serving("b", of_http1("b").await)),
        ("h2".to_owned(), h2c),
    ];
    here.publish(RouteTable { routes: routes.into(), ..RouteTable::default() }).await;
    let tally = Arc::new(Tally::default());
    let ends = Instant::now() + lasts;
    let clients: Vec<_> =
        (0..24).map(|number| tokio::spawn(client(number, here.http, ends, tally.clone()))).collect();
    for client in clients {
        tokio::time::timeout(lasts + PATIENCE, client).await.expect("it took too long").unwrap();
    }
    for host in HOSTS {
        assert_eq!(here.client.drain(host, PATIENCE).await.unwrap().left, 0, "{host}");
    }
    tally
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_is_mixed_up_in_a_storm_of_cancelled_and_late_requests() {
    let tally = no_answer_is_mixed_up(Duration::from_secs(3)).await;
    for count in [&tally.whole, &tally.late, &tally.given_up] {
        assert!(count.load(Ordering::SeqCst) > 10);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute; run by `make soak`"]
async fn no_answer_is_mixed_up_in_a_long_storm() {
    let Tally { whole, late, given_up } = &*no_answer_is_mixed_up(Duration::from_secs(60)).await;
    let line = format!("{whole:?} whole answers, {late:?} late, {given_up:?} given up; none mixed up\n");
    std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
}
