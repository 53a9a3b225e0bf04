//! Requests to applications of several instances, of which some fail.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ingress::{RouteState, RouteTable};
use support::*;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

/// An application that ends, with all it has, on the path `/die`; it counts those requests.
async fn mortal(deaths: Arc<AtomicU64>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (end, mut ended) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let mut stream = tokio::select! {
                accepted = listener.accept() => accepted.unwrap().0,
                // What died keeps its connection until the listener is gone.
                died = ended.recv() => {
                    drop(listener);
                    return drop::<Option<tokio::net::TcpStream>>(died);
                }
            };
            let (end, deaths) = (end.clone(), deaths.clone());
            tokio::spawn(async move {
                loop {
                    let head = read_head(&mut stream).await;
                    if head.starts_with("GET /die") {
                        deaths.fetch_add(1, Ordering::SeqCst);
                        let _ = end.send(stream);
                        return;
                    }
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    if head.is_empty() || stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

async fn publish(here: &Here, addresses: &[SocketAddr]) {
    let ids: Vec<String> = (0..addresses.len()).map(|number| format!("a-{number}")).collect();
    let backends: Vec<_> = ids.iter().map(String::as_str).zip(addresses.iter().copied()).collect();
    let route = route(RouteState::Serving, &backends);
    here.publish(RouteTable { routes: [("a".to_owned(), route)].into(), ..RouteTable::default() }).await;
}

#[tokio::test]
async fn a_request_that_ends_an_instance_does_not_end_the_others() {
    let here = here().await;
    let deaths = Arc::new(AtomicU64::new(0));
    let mut instances = Vec::new();
    for _ in 0..3 {
        instances.push(mortal(deaths.clone()).await);
    }
    publish(&here, &instances).await;
    // Each instance has a kept connection afterwards.
    for _ in 0..12 {
        assert!(here.get("a", "/").await.ends_with("ok"));
    }
    assert_eq!(status(&here.get("a", "/die").await), 502);
    assert_eq!(deaths.load(Ordering::SeqCst), 1, "no other instance got it");
    for _ in 0..6 {
        assert!(here.get("a", "/").await.ends_with("ok"), "the others serve");
    }
}
