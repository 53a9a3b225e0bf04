//! The ingress as a process: start, survival, end.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use ingress::{Client, IngressError, Launch, ProcessConfig, RouteTable};
use rustix::process::{Signal, kill_process, test_kill_process};
use support::place::{Place, pid, until_gone};
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

fn table(address: SocketAddr) -> RouteTable {
    RouteTable {
        version: 7,
        routes: [("a".to_owned(), serving("a-1", address))].into(),
        ..RouteTable::default()
    }
}

async fn get(http: SocketAddr) -> String {
    exchange(http, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await
}

#[tokio::test]
async fn it_starts_detached_with_nothing_of_ours() {
    let place = Place::new();
    let began = Instant::now();
    let client = place.client().await;
    let took = began.elapsed();
    let hello = client.hello().await.unwrap();
    let proc = format!("/proc/{}", hello.pid);
    assert!(took < PATIENCE / 2, "ready after {took:?}");
    assert_eq!(fs::read(format!("{proc}/environ")).unwrap(), b"");
    assert_eq!(fs::read_link(format!("{proc}/cwd")).unwrap(), Path::new("/"));
    let session = rustix::process::getsid(Some(pid(hello.pid))).unwrap();
    assert_eq!(session, pid(hello.pid), "it leads a session of its own");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.config.control), 0o600);
    assert_eq!(mode(&place.config.state), 0o700);
    let memory = status_kib(hello.pid, "VmRSS");
    assert!(memory < 25 << 10, "{memory} KiB");
}

#[tokio::test]
async fn a_second_control_plane_finds_it_and_it_outlives_both() {
    let place = Place::new();
    let first = place.client().await;
    let hello = first.hello().await.unwrap();
    let table = table(named("a").await);
    first.publish(&table).await.unwrap();
    drop(first);
    // A control plane that dies in the middle of a word.
    let mut dying = UnixStream::connect(&place.config.control).await.unwrap();
    dying.write_all(b"{\"ask\":\"publish\",\"tab").await.unwrap();
    drop(dying);

    let second = place.client().await;
    let found = second.hello().await.unwrap();
    assert_eq!((found.pid, found.routes), (hello.pid, 7));
    assert_eq!(second.routes().await.unwrap(), table);
    assert!(!second.ensure().await.unwrap(), "it is not started twice");
    assert!(get(hello.http).await.ends_with("a "));
}

#[tokio::test]
async fn nonsense_on_the_control_socket_is_refused_without_harm() {
    let place = Place::new();
    let client = place.client().await;
    client.publish(&table(named("a").await)).await.unwrap();
    for nonsense in
        ["\n", "x\n", "{}\n", "{\"ask\":\"dance\"}\n", "{\"ask\":\"publish\",\"table\":{}}\n", "[1]\n"]
    {
        let mut stream = UnixStream::connect(&place.config.control).await.unwrap();
        stream.write_all(nonsense.as_bytes()).await.unwrap();
        let mut reply = String::new();
        soon(stream.read_to_string(&mut reply)).await.unwrap();
        assert!(reply.starts_with("{\"reply\":\"refused\""), "{nonsense:?}: {reply}");
    }
    assert_eq!(client.hello().await.unwrap().routes, 7);
    assert!(get(client.hello().await.unwrap().http).await.ends_with("a "));
}

#[tokio::test]
async fn a_killed_ingress_serves_its_saved_routes_once_it_is_started_again() {
    let place = Place::new();
    let client = place.client().await;
    let address = named("a").await;
    let candidates = [("token".to_owned(), speaks_http1("c", address))].into();
    client.publish(&RouteTable { candidates, ..table(address) }).await.unwrap();
    let before = client.hello().await.unwrap();
    kill_process(pid(before.pid), Signal::KILL).unwrap();
    until_gone(pid(before.pid)).await;
    assert!(matches!(client.hello().await, Err(IngressError::NotRunning { .. })));

    assert!(client.ensure().await.unwrap(), "it was gone");
    let after = client.hello().await.unwrap();
    assert_ne!(after.pid, before.pid);
    assert_eq!(after.routes, 7);
    assert_eq!(client.routes().await.unwrap(), table(address));
    assert!(get(after.http).await.ends_with("a "));
    let saved = fs::read_to_string(place.config.state.join("routes.json")).unwrap();
    assert!(!saved.contains("token"), "{saved}");
}

#[tokio::test]
async fn people_wait_for_the_next_ingress_and_are_not_refused() {
    let place = Place::new();
    let client = place.client().await;
    let before = client.hello().await.unwrap();
    client.publish(&table(named("a").await)).await.unwrap();

    for _ in 0..3 {
        let dying = pid(client.hello().await.unwrap().pid);
        kill_process(dying, Signal::KILL).unwrap();
        until_gone(dying).await;
        let waiting: Vec<_> = (0..20).map(|_| tokio::spawn(get(before.http))).collect();
        // Each has its place in the queue of the socket, which nobody looks at.
        let mut late = TcpStream::connect(before.http).await.unwrap();
        assert!(client.ensure().await.unwrap(), "it was gone");
        for answer in waiting {
            let answer = soon(answer).await.unwrap();
            assert_eq!(status(&answer), 200, "{answer}");
        }
        late.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        soon(late.read_to_string(&mut answer)).await.unwrap();
        assert_eq!(status(&answer), 200, "{answer}");
    }
    client.shutdown().await.unwrap();
    // A child of another test may have a copy until it runs its program.
    until("nobody holds the address", async || TcpStream::connect(before.http).await.is_err()).await;
}

#[tokio::test]
async fn a_damaged_table_is_no_reason_to_stay_down() {
    let place = Place::new();
    fs::create_dir(&place.config.state).unwrap();
    fs::write(place.config.state.join("routes.json"), b"{\"version\":7,\"rou").unwrap();
    let client = place.client().await;
    assert_eq!(client.hello().await.unwrap().routes, 0);
    client.publish(&table(named("a").await)).await.unwrap();
    assert!(get(client.hello().await.unwrap().http).await.ends_with("a "));
}

#[tokio::test]
async fn a_signal_lets_it_finish_what_is_in_flight() {
    let place = Place::new();
    let client = place.client().await;
    let (go, gone) = tokio::sync::watch::channel(false);
    let act = move |mut stream: TcpStream| {
        let mut gone = gone.clone();
        async move {
            read_head(&mut stream).await;
            gone.wait_for(|go| *go).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        }
    };
    client.publish(&table(raw_backend(act).await.0)).await.unwrap();
    let hello = client.hello().await.unwrap();
    let request = tokio::spawn(get(hello.http));
    until("the request is in flight", async || client.drain("a-1", Duration::ZERO).await.unwrap().left == 1)
        .await;
    // It holds a copy of the public socket, where people would wait for the next ingress.
    drop(client);
    kill_process(pid(hello.pid), Signal::TERM).unwrap();
    until("it takes no more connections", async || TcpStream::connect(hello.http).await.is_err()).await;
    test_kill_process(pid(hello.pid)).unwrap();
    go.send(true).unwrap();
    assert!(soon(request).await.unwrap().ends_with("ok"));
    until_gone(pid(hello.pid)).await;
    assert!(!place.config.control.exists());
}

#[tokio::test]
async fn one_that_listens_elsewhere_is_replaced_and_a_taken_address_is_told() {
    let place = Place::new();
    let client = place.client().await;
    client.publish(&table(named("a").await)).await.unwrap();
    let before = client.hello().await.unwrap();

    let http = nobody().await;
    let moved = ProcessConfig { http, ..place.config.clone() };
    let client = Client::connect_or_spawn(place.launch(), moved).await.unwrap();
    let after = client.hello().await.unwrap();
    assert_eq!(after.http, http);
    assert_ne!(after.pid, before.pid);
    assert!(get(http).await.ends_with("a "), "with the routes of the one before");

    let other = Place::new();
    let taken = ProcessConfig { http, ..other.config.clone() };
    let error = Client::connect_or_spawn(other.launch(), taken).await.unwrap_err().to_string();
    assert!(error.contains(&format!("cannot listen on {http}")) && error.contains("in use"), "{error}");
    client.shutdown().await.unwrap();
    assert!(TcpStream::connect(http).await.is_err());
}

#[tokio::test]
async fn a_program_that_is_no_ingress_is_told() {
    let place = Place::new();
    for (program, expected) in [("/nonexistent/darsena", "No such file"), ("/bin/false", "ended with")] {
        let launch = Launch { program: program.into(), args: Vec::new(), log: None };
        let error = Client::connect_or_spawn(launch, place.config.clone()).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn large_bodies_need_little_memory() {
    const SIZE: u64 = 200 << 20;
    let place = Place::new();
    let client = place.client().await;
    let act = |mut stream: TcpStream| async move {
        read_head(&mut stream).await;
        let received = tokio::io::copy(&mut (&mut stream).take(SIZE), &mut tokio::io::sink()).await.unwrap();
        assert_eq!(received, SIZE);
        stream
            .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").as_bytes())
            .await
            .unwrap();
        tokio::io::copy(&mut tokio::io::repeat(0).take(SIZE), &mut stream).await.unwrap();
    };
    client.publish(&table(raw_backend(act).await.0)).await.unwrap();
    let hello = client.hello().await.unwrap();
    let mut stream = TcpStream::connect(hello.http).await.unwrap();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.split();
    let upload = async { tokio::io::copy(&mut tokio::io::repeat(0).take(SIZE), &mut write).await.unwrap() };
    let download = async {
        // A slow reader at first: the ingress must not gather what it does not take.
        tokio::time::sleep(Duration::from_millis(300)).await;
        tokio::io::copy(&mut read, &mut tokio::io::sink()).await.unwrap()
    };
    let (_, received) =
        tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(upload, download) })
            .await
            .expect("it took too long");
    assert!(received > SIZE);
    let peak = status_kib(hello.pid, "VmHWM");
    assert!(peak < 32 << 10, "{peak} KiB at its peak");
}
