//! What is under way when a backend is replaced: row P24 of the faults. Requests, streams and tunnels go on until the
//! drain's deadline; what is left then ends as the application ends it.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ingress::{Backend, BackendProtocol, Route, RouteTable};
use support::frames::*;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn table(number: usize, address: SocketAddr) -> RouteTable {
    RouteTable {
        routes: [("a".to_owned(), serving(&format!("b{number}"), address))].into(),
        ..RouteTable::default()
    }
}

async fn left(here: &Here, backend: &str) -> u64 {
    here.client.drain(backend, Duration::ZERO).await.unwrap().left
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
        let _ = stream.read(&mut [0]).await;
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

/// Reads from a client's connection until this has come.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut seen = String::new();
    while !seen.ends_with(end) {
        let byte = soon(stream.read_u8()).await.unwrap_or_else(|error| panic!("{error} after {seen:?}"));
        seen.push(byte.into());
    }
    seen
}

/// Everything up to the end of the connection; an end that is a reset is none.
async fn rest(stream: &mut TcpStream) -> String {
    let mut rest = String::new();
    soon(stream.read_to_string(&mut rest)).await.unwrap();
    rest
}

/// A release that is replaced. Each path takes its time until the word to finish, or to stop, is given.
async fn old_release(words: tokio::sync::watch::Receiver<&'static str>) -> SocketAddr {
    let act = move |mut stream: TcpStream| {
        let mut words = words.clone();
        async move {
            loop {
                let head = read_head(&mut stream).await;
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let (first, last): (&str, &str) = match path.as_str() {
                    "/idle" => ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold", ""),
                    "/slow" => ("", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow"),
                    "/download" => ("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\ndown", "load"),
                    "/events" => (
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n",
                        "3\r\ntwo\r\n0\r\n\r\n",
                    ),
                    "/socket" => (
                        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello",
                        // A close frame of a websocket: the server goes away (RFC 6455, 7.4.1).
                        "\u{8}\u{2}bye",
                    ),
                    "/upload" => {
                        let mut body = [0; 8];
                        if stream.read_exact(&mut body).await.is_ok() {
                            let _ =
                                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntaken").await;
                        }
                        continue;
                    }
                    _ => return,
                };
                let _ = stream.write_all(first.as_bytes()).await;
                if !last.is_empty() {
                    words.wait_for(|word| *word == "finish").await.unwrap();
                    let _ = stream.write_all(last.as_bytes()).await;
                }
                if path == "/socket" {
                    return;
                }
            }
        }
    };
    raw_backend(act).await.0
}

#[tokio::test]
async fn everything_under_way_is_finished_by_the_old_release_while_new_requests_go_to_the_new_one() {
    let here = here().await;
    let (say, words) = tokio::sync::watch::channel("go on");
    here.publish(table(1, old_release(words).await)).await;
    let begin = async |path: &str, fields: &str, until: &str| {
        let mut client = here.connect().await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        read_until(&mut client, until).await;
        client
    };
    let mut idle = begin("/idle", "", "old").await;
    let close = "Connection: close\r\n";
    let mut slow = begin("/slow", close, "").await;
    let mut download = begin("/download", close, "down").await;
    let mut events = begin("/events", close, "one\r\n").await;
    let mut socket = begin("/socket", "Connection: upgrade\r\nUpgrade: websocket\r\n", "hello").await;
    let mut upload = here.connect().await;
    upload
        .write_all(b"POST /upload HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 8\r\n\r\nhalf")
        .await
        .unwrap();
    until("all are under way", async || left(&here, "b1").await == 5).await;

    here.publish(table(2, named("new").await)).await;
    assert!(here.get("a", "/").await.ends_with("new "));
    // A client's idle connection is the ingress' own: it goes on, with the new release.
    idle.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(rest(&mut idle).await.ends_with("new "));
    assert_eq!(here.client.drain("b1", Duration::from_millis(50)).await.unwrap().left, 5, "at the deadline");

    upload.write_all(b"half").await.unwrap();
    assert!(rest(&mut upload).await.ends_with("taken"));
    until("one less", async || left(&here, "b1").await == 4).await;
    say.send("finish").unwrap();
    assert!(rest(&mut slow).await.ends_with("slow"));
    assert!(rest(&mut download).await.ends_with("load"));
    assert!(rest(&mut events).await.ends_with("3\r\ntwo\r\n0\r\n\r\n"), "the stream has its end");
    assert_eq!(rest(&mut socket).await, "\u{8}\u{2}bye", "the application's last words, and then no reset");
    assert_eq!(here.client.drain("b1", PATIENCE).await.unwrap().left, 0);
}

#[tokio::test]
async fn what_an_old_release_cuts_is_no_whole_answer() {
    let here = here().await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let act = move |mut stream: TcpStream| {
        let mut stopped = stopped.clone();
        async move {
            read_head(&mut stream).await;
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
                .await
                .unwrap();
            stopped.wait_for(|stopped| *stopped).await.unwrap();
        }
    };
    here.publish(table(1, raw_backend(act).await.0)).await;
    let mut client = here.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    read_until(&mut client, "half\r\n").await;
    here.publish(table(2, named("new").await)).await;
    assert_eq!(left(&here, "b1").await, 1);
    stop.send(true).unwrap();
    let mut rest = Vec::new();
    let _ = soon(client.read_to_end(&mut rest)).await;
    assert_eq!(String::from_utf8_lossy(&rest), "", "no end where there was none");
    assert_eq!(here.client.drain("b1", PATIENCE).await.unwrap().left, 0);
}

/// A server of HTTP/2 in frames: answers each request with a head, and ends the stream when told to. Says when its
/// connection is over.
async fn http2_release(
    finish: tokio::sync::watch::Receiver<bool>,
    over: tokio::sync::mpsc::UnboundedSender<Vec<u8>>,
) -> SocketAddr {
    let act = move |stream: TcpStream| {
        let (finish, over) = (finish.clone(), over.clone());
        async move {
            let (mut read, write) = stream.into_split();
            let write = Arc::new(tokio::sync::Mutex::new(write));
            read.read_exact(&mut [0; 24]).await.unwrap();
            write.lock().await.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
            let mut kinds = Vec::new();
            while let Some(next) = read_frame(&mut read).await {
                kinds.push(next.kind);
                if next.kind != HEADERS {
                    continue;
                }
                let (write, mut finish) = (write.clone(), finish.clone());
                tokio::spawn(async move {
                    // `:status` 200 of the static table.
                    let head = frame(HEADERS, END_HEADERS, next.stream, &[0x88]);
                    let _ = write.lock().await.write_all(&head).await;
                    finish.wait_for(|finish| *finish).await.unwrap();
                    let _ =
                        write.lock().await.write_all(&frame(DATA, END_STREAM, next.stream, b"done")).await;
                });
            }
            let _ = over.send(kinds);
        }
    };
    raw_backend(act).await.0
}

#[tokio::test]
async fn a_connection_of_http2_takes_no_new_request_and_ends_with_its_last_stream() {
    let here = here().await;
    let (finish, finished) = tokio::sync::watch::channel(false);
    let (over, mut is_over) = tokio::sync::mpsc::unbounded_channel();
    let h2c = |id: &str, address| {
        let backend = Backend { protocol: BackendProtocol::H2c, ..speaks_http1(id, address) };
        let route = Route { backends: vec![backend], ..serving(id, address) };
        RouteTable { routes: [("a".to_owned(), route)].into(), ..RouteTable::default() }
    };
    here.publish(h2c("b1", http2_release(finished.clone(), over.clone()).await)).await;
    let mut client = RawClient::connect(here.http, &[]).await;
    for id in [1, 3] {
        client.send(get(id)).await;
        assert!(client.next_of(HEADERS).await.is_some());
    }
    assert_eq!(left(&here, "b1").await, 2);

    here.publish(h2c("b2", http2_release(finished, over).await)).await;
    client.send(get(5)).await;
    assert_eq!(client.next_of(HEADERS).await.unwrap().stream, 5);
    assert_eq!((left(&here, "b1").await, left(&here, "b2").await), (2, 1));
    assert!(is_over.try_recv().is_err(), "the old connection still has streams");
    finish.send(true).unwrap();
    let mut done = 0;
    while done < 3 {
        let data = client.next_of(DATA).await.unwrap();
        assert!(data.payload.is_empty() || data.payload == b"done");
        done += usize::from(data.payload == b"done");
    }
    assert_eq!(here.client.drain("b1", PATIENCE).await.unwrap().left, 0);
    let frames = soon(is_over.recv()).await.unwrap();
    assert_eq!(frames.iter().filter(|kind| **kind == HEADERS).count(), 2, "no third request: {frames:?}");
    assert!(frames.contains(&GOAWAY), "a polite end: {frames:?}");
}
