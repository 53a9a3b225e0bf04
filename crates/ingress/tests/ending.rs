//! The end of an ingress process, and what it leaves free.

mod support;

use std::fs::{self, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::time::Duration;

use ingress::{Client, IngressError, RouteTable, socket_names};
use rustix::fs::{CWD, Mode, OFlags, mkfifoat};
use rustix::process::{Signal, kill_process, test_kill_process};
use support::place::{Place, pid, until_gone};
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

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

/// An application that says `ok` only once it may.
async fn holding(may: watch::Receiver<bool>) -> SocketAddr {
    let act = move |mut stream: TcpStream| {
        let mut may = may.clone();
        async move {
            read_head(&mut stream).await;
            may.wait_for(|may| *may).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        }
    };
    raw_backend(act).await.0
}

#[tokio::test]
async fn one_that_was_lent_its_socket_frees_the_address_before_it_is_gone() {
    let place = Place::new();
    let client = place.client().await;
    let (go, may) = watch::channel(false);
    client.publish(&table(holding(may).await)).await.unwrap();
    let first = client.hello().await.unwrap();
    kill_process(pid(first.pid), Signal::KILL).unwrap();
    until_gone(pid(first.pid)).await;
    assert!(client.ensure().await.unwrap(), "it was gone");
    let lent = client.hello().await.unwrap();
    assert_eq!(lent.http, first.http);
    let request = tokio::spawn(get(lent.http));
    until("the request is in flight", async || client.drain("a-1", Duration::ZERO).await.unwrap().left == 1)
        .await;

    client.shutdown().await.unwrap();
    // A child of another test may have a copy until it runs its program.
    until("the address is free", async || TcpListener::bind(lent.http).await.is_ok()).await;
    test_kill_process(pid(lent.pid)).expect("it finishes its request meanwhile");
    go.send(true).unwrap();
    assert!(soon(request).await.unwrap().ends_with("ok"));
    until_gone(pid(lent.pid)).await;
}

#[tokio::test]
async fn an_end_without_an_ingress_leaves_nobody_waiting() {
    let place = Place::new();
    let client = place.client().await;
    let hello = client.hello().await.unwrap();
    kill_process(pid(hello.pid), Signal::KILL).unwrap();
    until_gone(pid(hello.pid)).await;
    let mut waiting = TcpStream::connect(hello.http).await.unwrap();

    assert!(matches!(client.shutdown().await, Err(IngressError::NotRunning { .. })));
    // A child of another test may have a copy until it runs its program.
    until("people are refused", async || TcpStream::connect(hello.http).await.is_err()).await;
    assert!(soon(waiting.read_u8()).await.is_err(), "who waited is told too");
}

#[tokio::test]
async fn one_that_is_starting_is_ended_too() {
    let place = Place::new();
    fs::create_dir(&place.config.state).unwrap();
    // Reading its saved routes keeps it from answering.
    let routes = place.config.state.join("routes.json");
    mkfifoat(CWD, &routes, Mode::RUSR | Mode::WUSR).unwrap();
    let client = Arc::new(Client::new(place.launch(), place.config.clone()));
    let starting = tokio::spawn({
        let client = client.clone();
        async move { client.ensure().await }
    });
    let mut reading = None;
    until("it reads its routes", async || {
        let nonblock = OFlags::NONBLOCK.bits() as i32;
        reading = OpenOptions::new().write(true).custom_flags(nonblock).open(&routes).ok();
        reading.is_some()
    })
    .await;
    starting.abort();
    let _ = starting.await;

    let ending = client.shutdown();
    tokio::pin!(ending);
    let early = tokio::time::timeout(Duration::from_millis(300), &mut ending).await;
    assert!(early.is_err(), "it is there and not ended: {early:?}");
    drop(reading);
    soon(ending).await.unwrap();
    until("none is left", async || place.processes().is_empty()).await;
}

#[tokio::test]
async fn one_killed_in_a_handover_leaves_no_other_names_than_are_told() {
    let place = Place::new();
    let client = place.client().await;
    let hello = client.hello().await.unwrap();
    let mut taking = UnixStream::connect(&place.config.control).await.unwrap();
    taking.write_all(b"{\"ask\":\"hand_over\"}\n").await.unwrap();
    // With this it has given everything, and waits for a word.
    assert_eq!(soon(taking.read_u8()).await.unwrap(), b' ');
    kill_process(pid(hello.pid), Signal::KILL).unwrap();
    until_gone(pid(hello.pid)).await;

    let told = socket_names(&place.config.control);
    let left: Vec<_> =
        fs::read_dir(place.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.contains(&told[0]) && left.contains(&told[2]), "{left:?}");
    for path in left.iter().filter(|path| !path.is_dir()) {
        assert!(told.contains(path), "{path:?}");
    }
}
