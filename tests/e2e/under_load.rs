//! Redeploying while people use the application: no request fails, and each answer belongs to its request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::harness::request;
use crate::sources::running_shop;

/// Pause between two requests of a client: with four clients some 400 requests a second.
const PAUSE: Duration = Duration::from_millis(10);
const REDEPLOYMENTS: usize = 10;

#[test]
fn redeploying_under_load_fails_no_request() {
    let Some((_registry, _, darsena)) = running_shop() else { return };

    let stop = Arc::new(AtomicBool::new(false));
    let http = darsena.http;
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || match client % 2 {
                0 => ask_on_new_connections(http, client, &stop),
                _ => ask_on_a_kept_connection(http, client, &stop),
            })
        })
        .collect();
    for _ in 0..REDEPLOYMENTS {
        darsena.run_ok(&["deploy", "shop"]);
    }
    stop.store(true, Ordering::Relaxed);
    let answered: usize =
        clients.into_iter().map(|client| client.join().expect("a client fails no request")).sum();
    assert!(answered > 100, "only {answered} requests were made");
}

fn ask_on_new_connections(http: SocketAddr, client: usize, stop: &AtomicBool) -> usize {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let path = format!("/{client}-{count}");
        let (status, _, body) = request(http, "shop.localhost", &path).expect("the ingress answers");
        assert_eq!((status, body.trim()), (200, path.as_str()));
        count += 1;
        thread::sleep(PAUSE);
    }
    count
}

fn ask_on_a_kept_connection(http: SocketAddr, client: usize, stop: &AtomicBool) -> usize {
    let stream = TcpStream::connect(http).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let path = format!("/{client}-{count}");
        write!(&mut &stream, "GET {path} HTTP/1.1\r\nhost: shop.localhost\r\n\r\n").unwrap();
        let (status, body) = read_answer(&mut reader);
        assert_eq!((status.as_str(), body.trim()), ("HTTP/1.1 200 OK", path.as_str()));
        count += 1;
        thread::sleep(PAUSE);
    }
    count
}

fn read_answer(reader: &mut BufReader<TcpStream>) -> (String, String) {
    let mut status = String::new();
    reader.read_line(&mut status).unwrap();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (status.trim().to_owned(), String::from_utf8(body).unwrap())
}
