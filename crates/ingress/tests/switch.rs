//! Replacing a backend while people use it.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
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

/// One client: GET and POST in turn on one kept connection. Gives the number of requests.
async fn use_it(here: Arc<Here>, client: usize, published: Arc<AtomicU64>, done: Arc<AtomicBool>) -> u64 {
    let mut sender = here.keep_alive().await;
    let mut count = 0;
    while !done.load(Ordering::SeqCst) {
        let nonce = format!("{client}-{count}");
        let before = published.load(Ordering::SeqCst);
        let request = if count % 2 == 0 { Request::get("/") } else { Request::post("/") };
        let body = if count % 2 == 0 { Bytes::new() } else { Bytes::from("body") };
        let request = request.header("host", "a").header("x-nonce", &nonce).body(Full::from(body)).unwrap();
        sender.ready().await.unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        let text =
            String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let words: Vec<&str> = text.split(' ').collect();
        assert_eq!((words[0], words[2]), ("backend", nonce.as_str()), "{text}");
        // Never a backend older than the one in force when the request began.
        assert!(words[1].parse::<u64>().unwrap() >= before, "{text} after {before} was published");
        count += 1;
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_switches_under_load_cost_no_request() {
    const SWITCHES: usize = 50;
    let here = Arc::new(here().await);
    let (first, mut old) = numbered(0).await;
    here.publish(table(0, first)).await;
    let (published, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..8)
        .map(|client| tokio::spawn(use_it(here.clone(), client, published.clone(), done.clone())))
        .collect();
    for number in 1..=SWITCHES {
        let (address, stopped) = numbered(number).await;
        here.publish(table(number, address)).await;
        published.store(number as u64, Ordering::SeqCst);
        let left = here.client.drain(&format!("b{}", number - 1), PATIENCE).await.unwrap().left;
        assert_eq!(left, 0);
        // After the drain nobody is there any more.
        old.store(true, Ordering::SeqCst);
        old = stopped;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    done.store(true, Ordering::SeqCst);
    let mut total = 0;
    for client in clients {
        total += soon(client).await.unwrap();
    }
    assert!(total > SWITCHES as u64, "only {total} requests");
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

#[tokio::test]
async fn a_drain_ends_with_the_last_body_or_at_its_deadline() {
    let here = here().await;
    let (go, gone) = tokio::sync::watch::channel(false);
    let act = move |mut stream: TcpStream| {
        let mut gone = gone.clone();
        async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha").await.unwrap();
            gone.wait_for(|go| *go).await.unwrap();
            stream.write_all(b"lf").await.unwrap();
        }
    };
    here.publish(table(1, raw_backend(act).await.0)).await;
    let request = async { here.get("a", "/").await };
    let draining = async {
        until("the request is in flight", async || {
            here.client.drain("b1", Duration::ZERO).await.unwrap().left == 1
        })
        .await;
        here.publish(table(2, nobody().await)).await;
        assert_eq!(here.client.drain("b1", Duration::from_millis(30)).await.unwrap().left, 1);
        let (drained, ()) = tokio::join!(here.client.drain("b1", PATIENCE), async { go.send(true).unwrap() });
        assert_eq!(drained.unwrap().left, 0);
    };
    let (answer, ()) = soon(async { tokio::join!(request, draining) }).await;
    assert!(answer.ends_with("half"), "a request of the old table is finished: {answer}");
}

#[tokio::test]
async fn a_client_that_goes_away_is_no_longer_in_flight() {
    let here = here().await;
    let act = |mut stream: TcpStream| async move {
        read_head(&mut stream).await;
        let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0]).await;
    };
    here.publish(table(1, raw_backend(act).await.0)).await;
    let mut client = here.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    until("the request is in flight", async || {
        here.client.drain("b1", Duration::ZERO).await.unwrap().left == 1
    })
    .await;
    drop(client);
    assert_eq!(here.client.drain("b1", PATIENCE).await.unwrap().left, 0);
}
