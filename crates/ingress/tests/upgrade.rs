//! One ingress process takes over from another while people use it.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use ingress::{Client, IngressError, Launch, RouteTable};
use rustix::process::{Pid, Signal, kill_process};
use support::place::{Place, pid, until_gone};
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn table(number: u64, address: SocketAddr) -> RouteTable {
    RouteTable {
        version: number,
        routes: [("a".to_owned(), serving(&format!("b{number}"), address))].into(),
        ..RouteTable::default()
    }
}

async fn get(http: SocketAddr) -> String {
    exchange(http, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await
}

/// What several clients do.
#[derive(Default)]
struct Load {
    is_over: AtomicBool,
    answered: AtomicU64,
}

impl Load {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::SeqCst)
    }

    fn one_more(&self) {
        self.answered.fetch_add(1, Ordering::SeqCst);
    }

    async fn until_answered(&self, more: u64) {
        let wanted = self.answered.load(Ordering::SeqCst) + more;
        until("requests are answered", async || self.answered.load(Ordering::SeqCst) >= wanted).await;
    }
}

/// One request on a connection of its own after another.
async fn with_new_connections(http: SocketAddr, load: Arc<Load>) {
    while load.goes_on() {
        let answer = get(http).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("a "), "{answer:?}");
        load.one_more();
    }
}

/// Keeps its connection until an answer says that it is the last, as a client of HTTP/1.1 may.
/// Gives their number.
async fn with_kept_connections(http: SocketAddr, load: Arc<Load>) -> usize {
    let mut connections = 0;
    while load.goes_on() {
        connections += 1;
        let stream = TcpStream::connect(http).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut is_last = false;
        while !is_last && load.goes_on() {
            sender.ready().await.unwrap();
            // A POST, which no client repeats by itself.
            let request =
                Request::post("/").header("host", "a").body(Full::new(Bytes::from("body"))).unwrap();
            let answer = soon(sender.send_request(request)).await.unwrap();
            assert_eq!(answer.status(), 200);
            is_last = answer.headers().get(header::CONNECTION).is_some_and(|value| value == "close");
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, "a ");
            load.one_more();
        }
    }
    connections
}

/// Keeps its connection of HTTP/2 until it is told to go away.
async fn with_http2(http: SocketAddr, load: Arc<Load>) {
    while load.goes_on() {
        let stream = TcpStream::connect(http).await.unwrap();
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        while load.goes_on() {
            if sender.ready().await.is_err() {
                break;
            }
            let request = Request::post("http://a/").body(Full::new(Bytes::from("body"))).unwrap();
            let answer = match soon(sender.try_send_request(request)).await {
                Ok(answer) => answer,
                Err(mut error) => {
                    let unsent = error.take_message().is_some();
                    let error = format!("{:?}", error.into_error());
                    // One that crossed the last GOAWAY, whose number says that it was not processed (RFC 9113, 6.8).
                    let unprocessed = error.contains("GoAway(b\"\", NO_ERROR, Remote)");
                    assert!(unsent || unprocessed, "{error}");
                    break;
                }
            };
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "a ");
            load.one_more();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twelve_replacements_under_load_cost_no_request() {
    const REPLACEMENTS: u64 = 12;
    let place = Place::new();
    let client = place.client().await;
    client.publish(&table(1, named("a").await)).await.unwrap();
    let first = client.hello().await.unwrap();
    let load = Arc::new(Load::default());
    let fresh: Vec<_> =
        (0..4).map(|_| tokio::spawn(with_new_connections(first.http, load.clone()))).collect();
    let kept: Vec<_> =
        (0..4).map(|_| tokio::spawn(with_kept_connections(first.http, load.clone()))).collect();
    let http2: Vec<_> = (0..2).map(|_| tokio::spawn(with_http2(first.http, load.clone()))).collect();

    let mut before = first.pid;
    for number in 1..=REPLACEMENTS {
        client.replace().await.unwrap();
        let hello = client.hello().await.unwrap();
        assert_ne!(hello.pid, before);
        assert_eq!((hello.http, hello.routes), (first.http, number));
        before = hello.pid;
        client.publish(&table(number + 1, named("a").await)).await.unwrap();
        assert_eq!(client.drain(&format!("b{number}"), PATIENCE).await.unwrap().left, 0);
        load.until_answered(100).await;
    }
    load.is_over.store(true, Ordering::SeqCst);
    for client in fresh.into_iter().chain(http2) {
        soon(client).await.unwrap();
    }
    let mut connections = 0;
    for client in kept {
        connections += soon(client).await.unwrap();
    }
    assert!(connections > 4, "they were told to take other connections");
    until("the old ones are gone", async || place.processes() == [pid(before)]).await;
}

#[tokio::test]
async fn what_is_in_flight_is_finished_and_counted_and_kept_connections_follow_the_routes() {
    let place = Place::new();
    let client = place.client().await;
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
    client.publish(&table(1, raw_backend(act).await.0)).await.unwrap();
    let old = client.hello().await.unwrap();
    let mut busy = TcpStream::connect(old.http).await.unwrap();
    busy.write_all(REQUEST).await.unwrap();
    let head = read_head(&mut busy).await;
    assert!(!head.contains("close"), "{head}");
    client.publish(&table(2, named("two").await)).await.unwrap();
    let mut idle = TcpStream::connect(old.http).await.unwrap();
    idle.write_all(REQUEST).await.unwrap();
    assert!(!read_head(&mut idle).await.contains("close"));
    let mut silent = TcpStream::connect(old.http).await.unwrap();

    for _ in 0..2 {
        client.replace().await.unwrap();
    }
    assert_eq!(client.drain("b1", Duration::from_millis(30)).await.unwrap().left, 1, "two processes ago");
    client.publish(&table(3, named("three").await)).await.unwrap();
    for connection in [&mut idle, &mut silent] {
        connection.write_all(REQUEST).await.unwrap();
        let mut answer = String::new();
        soon(connection.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.contains("connection: close") && answer.ends_with("three "), "{answer}");
    }
    go.send(true).unwrap();
    assert_eq!(client.drain("b1", PATIENCE).await.unwrap().left, 0);
    let mut body = [0; 4];
    soon(busy.read_exact(&mut body)).await.unwrap();
    assert_eq!(&body, b"half");
    // The connection is good for one more request, by the routes of now.
    busy.write_all(REQUEST).await.unwrap();
    let mut answer = String::new();
    soon(busy.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.contains("connection: close") && answer.ends_with("three "), "{answer}");
    until_gone(pid(old.pid)).await;
}

#[tokio::test]
async fn a_rebuilt_program_takes_over_when_a_control_plane_starts() {
    let place = Place::new();
    let program = place.folder.path().join("program");
    let install = || {
        let made = place.folder.path().join("program.new");
        // By another process: were it open for writing here, a child that another test forks just then would have it
        // open too, and the program could not be started ("text file busy").
        let copied =
            std::process::Command::new("cp").arg(env!("CARGO_BIN_EXE_ingress-role")).arg(&made).status();
        assert!(copied.unwrap().success());
        fs::rename(made, &program).unwrap();
    };
    let start = || {
        let launch = Launch { program: program.clone(), ..place.launch() };
        Client::connect_or_spawn(launch, place.config.clone())
    };
    install();
    let first = start().await.unwrap();
    let candidates = [("token".to_owned(), speaks_http1("c", named("c").await))].into();
    let published = RouteTable { candidates, ..table(7, named("a").await) };
    first.publish(&published).await.unwrap();
    let old = first.hello().await.unwrap();
    assert_eq!(start().await.unwrap().hello().await.unwrap(), old, "the same build stays");

    install();
    assert!(!first.ensure().await.unwrap());
    assert_eq!(first.hello().await.unwrap(), old, "a control plane that runs does not look at the disk");
    let second = start().await.unwrap();
    let new = second.hello().await.unwrap();
    assert_ne!((new.pid, &new.build), (old.pid, &old.build));
    assert_eq!((new.http, new.routes), (old.http, 7));
    assert_eq!(second.request_through("a", Some("token"), "/", PATIENCE).await.unwrap(), 200);
    until_gone(pid(old.pid)).await;
    assert!(place.config.control.exists());
    // Each control plane has a copy of the public socket, the children of other tests for a moment as well.
    drop(first);
    second.shutdown().await.unwrap();
    until("nobody holds the address", async || TcpStream::connect(old.http).await.is_err()).await;
}

#[tokio::test]
async fn after_a_handover_that_fails_the_old_one_goes_on() {
    let place = Place::new();
    let client = place.client().await;
    client.publish(&table(1, named("a").await)).await.unwrap();
    let old = client.hello().await.unwrap();

    let broken = Launch { program: "/bin/false".into(), ..place.launch() };
    let other = Client::connect_or_spawn(broken, place.config.clone()).await.unwrap();
    assert!(matches!(other.replace().await, Err(IngressError::NotStarted(_))));

    // One that dies after it put its own control socket in place.
    let mut dying = UnixStream::connect(&place.config.control).await.unwrap();
    dying.write_all(b"{\"ask\":\"hand_over\"}\n").await.unwrap();
    // The byte that bears the files comes alone.
    assert_eq!(soon(dying.read_u8()).await.unwrap(), b' ');
    let mut start = [0; 23];
    soon(dying.read_exact(&mut start)).await.unwrap();
    assert_eq!(&start, b"{\"reply\":\"handing_over\"");
    let made = place.folder.path().join("other.sock");
    drop(UnixListener::bind(&made).unwrap());
    fs::rename(&made, &place.config.control).unwrap();
    assert!(matches!(client.hello().await, Err(IngressError::NotRunning { .. })));
    assert!(get(old.http).await.ends_with("a "), "people are served meanwhile");
    drop(dying);

    until("it has its control socket back", async || client.hello().await.is_ok()).await;
    assert_eq!(client.hello().await.unwrap().pid, old.pid);
    client.publish(&table(2, named("two").await)).await.unwrap();
    assert!(get(old.http).await.ends_with("two "));
    assert_eq!(fs::read_dir(place.folder.path()).unwrap().count(), 3, "log, state, socket");
    client.replace().await.unwrap();
    assert!(get(old.http).await.ends_with("two "));
}

/// Kills one of the two processes at ever later moments of a handover.
async fn kill_during_handovers(chosen: impl Fn(&Place, Pid) -> Option<Pid>) {
    const ROUNDS: u64 = 24;
    let place = Place::new();
    let client = Arc::new(place.client().await);
    client.publish(&table(1, named("a").await)).await.unwrap();
    for round in 0..ROUNDS {
        let old = pid(client.hello().await.unwrap().pid);
        let replacing = tokio::spawn({
            let client = client.clone();
            async move { client.replace().await }
        });
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let victim = loop {
            match chosen(&place, old) {
                Some(victim) => break victim,
                None => assert!(tokio::time::Instant::now() < deadline, "no process to kill"),
            }
            tokio::task::yield_now().await;
        };
        tokio::time::sleep(Duration::from_micros(round * 500)).await;
        let _ = kill_process(victim, Signal::KILL);
        // Whether it was replaced depends on the moment.
        let _ = soon(replacing).await.unwrap();
        until_gone(victim).await;
        soon(client.ensure()).await.unwrap();
        let hello = client.hello().await.unwrap();
        assert_ne!(pid(hello.pid), victim);
        assert_eq!(hello.routes, 1, "round {round}");
        assert!(get(hello.http).await.ends_with("a "), "round {round}");
        until("one is left", async || place.processes() == [pid(hello.pid)]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_process_killed_during_the_handover_leaves_one_serving() {
    kill_during_handovers(|place, old| place.processes().into_iter().find(|process| *process != old)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_process_killed_during_the_handover_leaves_one_serving() {
    kill_during_handovers(|place, old| {
        place.processes().iter().any(|process| *process != old).then_some(old)
    })
    .await;
}
