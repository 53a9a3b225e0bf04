//! Too many connections, and clients that hold on to them: row X9 of the faults.

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ingress::{Limits, RouteTable, Timeouts};
use support::place::Place;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const LAST_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// Twenty of one loopback address.
const FEW: Limits = Limits { connections: 40, per_address: 1, to_backends: 400 };

/// A client at 127.0.0.`host`.
async fn connect_as(host: u8, http: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into()).unwrap();
    soon(socket.connect(http)).await.unwrap()
}

async fn everything(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    soon(async {
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            all.extend_from_slice(&buffer[..count]);
        }
    })
    .await;
    String::from_utf8_lossy(&all).into_owned()
}

async fn get_as(host: u8, http: SocketAddr) -> String {
    let mut stream = connect_as(host, http).await;
    let _ = stream.write_all(LAST_REQUEST).await;
    everything(&mut stream).await
}

/// A backend that never answers; it counts those who wait.
async fn hanging() -> (SocketAddr, std::sync::Arc<std::sync::atomic::AtomicU64>) {
    raw_backend(|mut stream: TcpStream| async move {
        read_head(&mut stream).await;
        let _ = stream.read(&mut [0]).await;
    })
    .await
}

#[tokio::test]
async fn idle_connections_make_room_for_new_ones_of_their_client() {
    let here = here_with(patient(), FEW).await;
    here.route(&[("a", named("a").await)]).await;
    let mut used = connect_as(1, here.http).await;
    used.write_all(REQUEST).await.unwrap();
    assert!(read_head(&mut used).await.contains("200 OK"));
    let mut silent = Vec::new();
    for number in 0..60 {
        silent.push(connect_as(1, here.http).await);
        if number % 10 == 0 {
            assert!(get_as(1, here.http).await.ends_with("a "), "after {number}");
            assert!(get_as(2, here.http).await.ends_with("a "), "after {number}");
        }
    }
    assert_eq!(everything(&mut used).await, "a ", "one that was used long ago made room");
    assert_eq!(everything(&mut silent[0]).await, "", "so did one that was never used");
    let last = silent.last_mut().unwrap();
    last.write_all(LAST_REQUEST).await.unwrap();
    assert!(everything(last).await.ends_with("a "));
    assert!(here.client.hello().await.is_ok());
}

#[tokio::test]
async fn without_an_idle_connection_the_newcomer_is_refused_politely() {
    let here = here_with(patient(), FEW).await;
    let (address, waiting) = hanging().await;
    here.route(&[("a", address)]).await;
    let mut busy = Vec::new();
    let mut ask = async |host: u8| {
        let mut stream = connect_as(host, here.http).await;
        stream.write_all(REQUEST).await.unwrap();
        busy.push(stream);
        until("it is under way", async || waiting.load(Ordering::SeqCst) as usize == busy.len()).await;
    };
    for _ in 0..20 {
        ask(1).await;
    }
    let answer = get_as(1, here.http).await;
    assert_eq!((status(&answer), reason(&answer)), (429, Some("too-many")), "{answer}");
    assert!(answer.contains("retry-after: 1") && answer.contains("connection: close"), "{answer}");
    for _ in 0..20 {
        ask(2).await;
    }
    let answer = get_as(3, here.http).await;
    assert_eq!((status(&answer), reason(&answer)), (503, Some("busy")), "{answer}");
    assert!(here.client.hello().await.is_ok(), "the control socket has nothing to do with it");
    here.publish(RouteTable::default()).await;

    busy.clear();
    assert_eq!(here.client.drain("a-1", PATIENCE).await.unwrap().left, 0);
    until("there is room again", async || get_as(3, here.http).await.contains("unknown-host")).await;
}

#[tokio::test]
async fn a_deployment_is_checked_beside_clients_that_take_all_places() {
    let here = here_with(patient(), FEW).await;
    let (hangs, waiting) = hanging().await;
    here.publish(RouteTable {
        routes: [("a".to_owned(), serving("a-1", hangs))].into(),
        candidates: [("s3cret".to_owned(), speaks_http1("new", named("new").await))].into(),
        ..RouteTable::default()
    })
    .await;
    let mut busy = Vec::new();
    // A proxy on this host has its half first, and another client the rest then.
    for host in [1, 2] {
        for _ in 0..20 {
            let mut stream = connect_as(host, here.http).await;
            stream.write_all(REQUEST).await.unwrap();
            busy.push(stream);
            until("it is under way", async || waiting.load(Ordering::SeqCst) as usize == busy.len()).await;
        }
        assert_eq!(here.client.request_through("a", Some("s3cret"), "/", PATIENCE).await, Ok(200), "{host}");
    }
    assert_eq!(status(&get_as(3, here.http).await), 503, "others have to wait");
}

#[tokio::test]
async fn connections_to_applications_have_a_limit_and_kept_ones_make_room() {
    let here = here_with(
        Timeouts { connect: short().connect, ..patient() },
        Limits { to_backends: 2, ..Limits::default() },
    )
    .await;
    let (hangs, waiting) = hanging().await;
    here.route(&[("a", named("a").await), ("b", named("b").await), ("c", hangs), ("d", hangs)]).await;
    for _ in 0..3 {
        for host in ["a", "b"] {
            assert!(here.get(host, "/").await.ends_with(&format!("{host} ")));
        }
    }
    // Both are kept now, and the third application gets one nevertheless.
    let mut held = Vec::new();
    for (number, host) in [(1, "c"), (2, "d")] {
        let mut stream = here.connect().await;
        stream.write_all(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await.unwrap();
        held.push(stream);
        until("it is under way", async || waiting.load(Ordering::SeqCst) == number).await;
    }
    let answer = here.get("a", "/").await;
    assert_eq!((status(&answer), reason(&answer)), (503, Some("busy")), "{answer}");
    drop(held);
    until("one is free again", async || here.get("a", "/").await.ends_with("a ")).await;
}

#[tokio::test]
async fn an_application_that_hangs_leaves_others_their_share() {
    let here = here_with(patient(), Limits { to_backends: 20, ..Limits::default() }).await;
    let (hangs, waiting) = hanging().await;
    here.route(&[("a", hangs), ("b", named("b").await)]).await;
    let mut busy = Vec::new();
    for number in 1..=10 {
        let mut stream = here.connect().await;
        stream.write_all(REQUEST).await.unwrap();
        busy.push(stream);
        until("it is under way", async || waiting.load(Ordering::SeqCst) == number).await;
    }
    let answer = here.get("a", "/").await;
    assert_eq!((status(&answer), reason(&answer)), (503, Some("busy")), "{answer}");
    assert!(here.get("b", "/").await.ends_with("b "));
    busy.pop();
    until("it may have one again", async || {
        let mut stream = here.connect().await;
        stream.write_all(REQUEST).await.unwrap();
        let answer = tokio::time::timeout(Duration::from_millis(100), stream.read_u8()).await;
        answer.is_err()
    })
    .await;
}

/// Opens connections that were used once and idle, from several addresses.
async fn idle_connections(count: usize, http: SocketAddr) -> Vec<TcpStream> {
    const AT_ONCE: usize = 50;
    let mut idle: Vec<TcpStream> = Vec::new();
    while idle.len() < count {
        let first = idle.len();
        for number in first..count.min(first + AT_ONCE) {
            let mut stream = connect_as(10 + (number % 10) as u8, http).await;
            stream.write_all(REQUEST).await.unwrap();
            idle.push(stream);
        }
        for stream in &mut idle[first..] {
            let mut answer = [0; 1024];
            let count = soon(stream.read(&mut answer)).await.unwrap();
            assert!(answer[..count].starts_with(b"HTTP/1.1 200"));
        }
    }
    idle
}

/// While so many connections idle, others' requests and the control plane's go on. Gives the memory of one, in bytes.
async fn others_go_on_beside(count: usize) -> u64 {
    let place = Place::new();
    let client = place.client().await;
    let table = RouteTable {
        routes: [("a".to_owned(), serving("a-1", named("a").await))].into(),
        ..RouteTable::default()
    };
    client.publish(&table).await.unwrap();
    let hello = client.hello().await.unwrap();
    let before = memory_kib(hello.pid);
    let idle = idle_connections(count, hello.http).await;
    let grown = memory_kib(hello.pid).saturating_sub(before);
    let mut times = Vec::new();
    for _ in 0..200 {
        let began = Instant::now();
        assert!(get_as(1, hello.http).await.ends_with("a "));
        times.push(began.elapsed());
    }
    times.sort();
    assert!(times[100] < Duration::from_millis(250), "half of the requests took {:?} and longer", times[100]);
    client.publish(&RouteTable { version: 2, ..table }).await.unwrap();
    assert_eq!(client.hello().await.unwrap().routes, 2);
    assert_eq!(client.request_through("a", None, "/", PATIENCE).await, Ok(200));
    let mut alive = 0;
    for mut stream in idle {
        let sent = stream.write_all(LAST_REQUEST).await.is_ok();
        alive += u64::from(sent && everything(&mut stream).await.ends_with("a "));
    }
    assert_eq!(alive, count as u64, "and the idle ones are good for another request");
    (grown << 10) / count as u64
}

#[tokio::test]
async fn others_go_on_beside_five_hundred_idle_connections() {
    let each = others_go_on_beside(500).await;
    assert!(each < 64 << 10, "an idle connection takes {each} bytes");
}

#[tokio::test]
#[ignore = "takes most of the files that a process may open; run by `make soak`"]
async fn others_go_on_beside_thousands_of_idle_connections() {
    let count = Limits::default().connections.min(10_000) - 500;
    let each = others_go_on_beside(count).await;
    assert!(each < 32 << 10, "an idle connection takes {each} bytes");
    let line = format!("{count} idle connections of {each} bytes each; others went on\n");
    std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
}

#[tokio::test]
async fn a_client_that_sends_its_body_in_drops_is_cut_off() {
    let here = here_in_a_hurry().await;
    let act = |mut stream: TcpStream| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    };
    here.route(&[("a", raw_backend(act).await.0)]).await;
    for (head, drop) in [("Content-Length: 100000", "x"), ("Transfer-Encoding: chunked", "1\r\nx\r\n")] {
        let mut client = here.connect().await;
        client.write_all(format!("POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n").as_bytes()).await.unwrap();
        let (mut read, mut write) = client.into_split();
        let dripping = tokio::spawn(async move {
            while write.write_all(drop.as_bytes()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let mut answer = Vec::new();
        let _ = soon(read.read_to_end(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert_eq!((status(&answer), reason(&answer)), (408, Some("request-timeout")), "{head}");
        assert_eq!(here.client.drain("a-1", PATIENCE).await.unwrap().left, 0);
        dripping.abort();
    }
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_releases_the_application() {
    let here = here_in_a_hurry().await;
    let (ended, mut has_ended) = tokio::sync::mpsc::unbounded_channel();
    let act = move |mut stream: TcpStream| {
        let ended = ended.clone();
        async move {
            read_head(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
            let _ = ended.send(());
        }
    };
    here.route(&[("a", raw_backend(act).await.0)]).await;
    for drips in [false, true] {
        let mut client = here.connect().await;
        client.write_all(REQUEST).await.unwrap();
        let dripping = tokio::spawn(async move {
            while drips && client.read_u8().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            std::future::pending::<()>().await;
        });
        soon(has_ended.recv()).await.unwrap();
        assert_eq!(here.client.drain("a-1", PATIENCE).await.unwrap().left, 0);
        dripping.abort();
    }
}

#[tokio::test]
async fn a_client_that_takes_its_answer_slowly_gets_all_of_it() {
    const SIZE: usize = 8 << 20;
    let timeouts = Timeouts { client: Duration::from_secs(2), ..patient() };
    let here = here_with(timeouts, Limits::default()).await;
    let answer = |_| async { http::Response::new(http_body_util::Full::from(vec![b'x'; SIZE])) };
    here.route(&[("a", backend(answer).await)]).await;
    let mut client = here.connect().await;
    client.write_all(LAST_REQUEST).await.unwrap();
    let mut taken = 0;
    let mut buffer = vec![0; SIZE / 32];
    loop {
        // Together longer than a client is waited for, each pause much shorter.
        tokio::time::sleep(timeouts.client / 16).await;
        match soon(client.read(&mut buffer)).await.unwrap() {
            0 => break,
            count => taken += count,
        }
    }
    assert!(taken > SIZE, "{taken} of {SIZE} bytes");
}
