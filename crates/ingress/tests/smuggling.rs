//! Requests that two servers in a row could read differently: rows X1 to X3 of the faults.

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// What a strict server has read: heads and bodies.
type Record = Arc<Mutex<Vec<(String, String)>>>;

/// A backend that reads exactly what each head announces, writes it down and answers.
async fn strict() -> (std::net::SocketAddr, Record) {
    let record = Record::default();
    let written = record.clone();
    let act = move |mut stream: TcpStream| {
        let written = written.clone();
        async move {
            loop {
                let head = read_head(&mut stream).await;
                if head.is_empty() {
                    return;
                }
                let body = match field(&head, "content-length") {
                    Some(length) => read_exactly(&mut stream, length.parse().unwrap()).await,
                    None if field(&head, "transfer-encoding") == Some("chunked") => {
                        read_chunks(&mut stream).await
                    }
                    None => Some(String::new()),
                };
                let Some(body) = body else { return };
                written.lock().unwrap().push((head, body));
                if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.is_err() {
                    return;
                }
            }
        }
    };
    (raw_backend(act).await.0, record)
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

async fn read_exactly(stream: &mut TcpStream, length: usize) -> Option<String> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.ok()?;
    Some(String::from_utf8(bytes).unwrap())
}

async fn read_chunks(stream: &mut TcpStream) -> Option<String> {
    let mut body = String::new();
    loop {
        let mut line = String::new();
        while !line.ends_with("\r\n") {
            line.push(stream.read_u8().await.ok()?.into());
        }
        let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
        let chunk = read_exactly(stream, size + 2).await?;
        if size == 0 {
            assert_eq!(chunk, "\r\n", "no trailers");
            return Some(body);
        }
        body.push_str(&chunk[..size]);
    }
}

/// Each is sent in a POST, with more behind it that is a request to those who read the head differently.
const AMBIGUOUS: [&str; 62] = [
    // A length and chunks, in either order.
    "Content-Length: 6\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 6",
    "Content-Length: 0\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nX: y\r\ncontent-length: 6",
    // Lengths.
    "Content-Length: 0\r\nContent-Length: 40",
    "Content-Length: 4\r\nContent-Length: 4",
    "Content-Length: 0, 0",
    "Content-Length: 5,5",
    "Content-Length: +5",
    "Content-Length: -5",
    "Content-Length: 0x5",
    "Content-Length: 5 5",
    "Content-Length: 5;",
    "Content-Length: 5.0",
    "Content-Length: 1e1",
    "Content-Length: \u{b}5",
    "Content-Length: 5\u{c}",
    "Content-Length: \u{ff15}",
    "Content-Length: \"5\"",
    "Content-Length:",
    "Content-Length: 18446744073709551621",
    "Content-Length: 00000000000000000000005",
    "Content-Length : 5",
    "Content-Length\t: 5",
    " Content-Length: 5",
    "Content-Length: 0\r\n 5",
    // Encodings.
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunkedx",
    "Transfer-Encoding: chunk",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: identity, chunked",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: chunked,",
    "Transfer-Encoding: ,chunked",
    "Transfer-Encoding: chunked;x=y",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding: 'chunked'",
    "Transfer-Encoding: [chunked]",
    "Transfer-Encoding: chunked\u{b}",
    "Transfer-Encoding:\u{b}chunked",
    "Transfer-Encoding: \u{a0}chunked",
    "Transfer-Encoding: chun\u{212a}ed",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding:",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding\t: chunked",
    " Transfer-Encoding: chunked",
    "\tTransfer-Encoding: chunked",
    "X: y\r\n Transfer-Encoding: chunked",
    "Transfer-Encoding:\r\n chunked",
    "Transfer-Encoding\r\n: chunked",
    "X: y\nTransfer-Encoding: chunked",
    "X: y\rTransfer-Encoding: chunked",
    "X: y\r\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\0",
    "Transfer\0Encoding: chunked",
    "Transfer-Encoding chunked",
];

#[tokio::test]
async fn a_request_that_can_be_read_in_two_ways_is_refused() {
    let here = here().await;
    let (address, record) = strict().await;
    here.route(&[("a", address)]).await;
    for fields in AMBIGUOUS {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n0\r\n\r\n{SMUGGLED}");
        let answer = here.raw(&request).await;
        assert_eq!(status(&answer), 400, "{request:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{request:?}: {answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    let chunked =
        format!("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}");
    assert_eq!(status(&here.raw(chunked).await), 400);
    assert_eq!(*record.lock().unwrap(), [], "nothing of it reached the application");
}

#[tokio::test]
async fn a_line_that_is_no_request_is_refused() {
    let here = here().await;
    let (address, record) = strict().await;
    here.route(&[("a", address)]).await;
    for line in [
        "GET /",
        "GET / HTTP/1.2",
        "GET / HTTP/2.0",
        "GET / HTTP/1.1x",
        "GET / http/1.1",
        "GET / HTTP/01.1",
        "GET /x y HTTP/1.1",
        "GET / HTTP/1.1 HTTP/1.1",
        "GET\t/ HTTP/1.1",
        " GET / HTTP/1.1",
        "GET /\0 HTTP/1.1",
        "G(T / HTTP/1.1",
        "/ HTTP/1.1",
        "\0",
    ] {
        let answer = here.raw(format!("{line}\r\nHost: a\r\n\r\n{SMUGGLED}")).await;
        assert_eq!(status(&answer), 400, "{line:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{line:?}: {answer}");
    }
    for lines in
        ["GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\n\r\n", "GET / HTTP/1.1\rHost: a\r\r"]
    {
        assert_eq!(status(&here.raw(format!("{lines}{SMUGGLED}")).await), 400, "{lines:?}");
    }
    assert_eq!(*record.lock().unwrap(), []);
}

#[tokio::test]
async fn what_looks_alike_is_one_request_of_one_length() {
    let here = here().await;
    let (address, record) = strict().await;
    here.route(&[("a", address)]).await;
    let body = format!("0\r\n\r\n{SMUGGLED}");
    let length = body.len();
    for fields in [
        format!("Content-Length:{length}"),
        format!("Content-Length: \t {length} \t"),
        format!("Content-Length: {length}\r\nTransfer_Encoding: chunked"),
        format!("Content-Length: {length}\r\nContent_Length: 1"),
        format!("Content-Length: {length}\r\nX-Transfer-Encoding: chunked"),
        format!("Content-Length: {length}\r\nX: Transfer-Encoding: chunked"),
        format!("Content-Length: {length}\r\nTE: chunked"),
        format!("Content-Length: {length}\r\nConnection: close, Content-Length"),
    ] {
        record.lock().unwrap().clear();
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n\r\n");
        assert_eq!(status(&here.raw(format!("{head}{body}")).await), 200, "{fields}");
        let record = record.lock().unwrap();
        assert_eq!(record.len(), 1, "{fields}: {record:?}");
        let (head, received) = &record[0];
        assert_eq!(received, &body);
        assert!(
            !head.contains("encoding: chunked\r\n") || head.contains("x: T") || head.contains("x-t"),
            "{head}"
        );
        assert!(
            !head.to_lowercase().contains("_length") && !head.to_lowercase().contains("_encoding"),
            "{head}"
        );
    }
}

#[tokio::test]
async fn chunks_are_passed_on_without_extensions_and_trailers() {
    let here = here().await;
    let (address, record) = strict().await;
    here.route(&[("a", address)]).await;
    for encoding in ["Transfer-Encoding: chunked", "transfer-encoding:\tCHUNKED\t"] {
        record.lock().unwrap().clear();
        let chunks = "5;x=y;\"z\"\r\nhello\r\n006 \r\n world\r\n0;end\r\nContent-Length: 40\r\nTransfer-Encoding: x\r\n\
             Host: b\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n";
        let request = format!("POST /1 HTTP/1.1\r\nHost: a\r\n{encoding}\r\n\r\n{chunks}");
        let last = "GET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let answer = here.raw(format!("{request}{last}")).await;
        assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer}");
        let record = record.lock().unwrap();
        assert_eq!(record.len(), 2, "{record:?}");
        assert_eq!(record[0].1, "hello world");
        assert!(record[1].0.starts_with("GET /2 "), "{record:?}");
    }
}

#[tokio::test]
async fn a_bad_chunk_ends_request_and_connection() {
    let here = here().await;
    let (address, record) = strict().await;
    here.route(&[("a", address)]).await;
    let extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(1 << 20));
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for chunk in [
        "zz\r\n",
        "\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\n\n",
        "5\r\nhello\r\n0\r\nX: y\n\r\n",
        "5\r\nhello\r\n0\r\n X: y\r\n\r\n",
        "5;\nGET /smuggled HTTP/1.1\r\nhello\r\n0\r\n\r\n",
        "10000000000000000\r\n",
        "ffffffffffffffff\r\n",
        "ffffffffffffffffff\r\n",
        extension.as_str(),
    ] {
        let answer = here.raw(format!("{head}{chunk}{SMUGGLED}")).await;
        let shown = &chunk[..chunk.len().min(40)];
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{shown:?}: {answer}");
        assert!(!answer.contains("200 OK"), "{shown:?}: {answer}");
    }
    assert_eq!(*record.lock().unwrap(), [], "none of them was whole");
}

#[tokio::test]
async fn bytes_after_an_upgrade_wait_for_the_answer() {
    let here = here().await;
    let (early, mut is_early) = tokio::sync::mpsc::unbounded_channel();
    let (go, gone) = tokio::sync::watch::channel(false);
    let act = move |mut stream: TcpStream| {
        let (early, mut gone) = (early.clone(), gone.clone());
        async move {
            read_head(&mut stream).await;
            let mut byte = [0];
            // Until it agrees, an application gets nothing of what follows.
            tokio::select! {
                read = stream.read(&mut byte) => early.send(read.unwrap()).unwrap(),
                _ = gone.wait_for(|go| *go) => {}
            }
            let agreed = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
            stream.write_all(agreed).await.unwrap();
            let mut all = vec![0; SMUGGLED.len()];
            stream.read_exact(&mut all).await.unwrap();
            stream.write_all(&all).await.unwrap();
        }
    };
    here.route(&[("a", raw_backend(act).await.0)]).await;
    let upgrade = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n{SMUGGLED}");
    let mut client = here.connect().await;
    client.write_all(upgrade.as_bytes()).await.unwrap();
    until("the request is under way", async || {
        here.client.drain("a-1", std::time::Duration::ZERO).await.unwrap().left == 1
    })
    .await;
    // Time in which what must not pass could pass.
    tokio::time::sleep(short().head / 3).await;
    assert!(is_early.try_recv().is_err());
    go.send(true).unwrap();
    assert_eq!(status(&read_head(&mut client).await), 101);
    let mut echo = String::new();
    soon(client.read_to_string(&mut echo)).await.unwrap();
    assert_eq!(echo, SMUGGLED);
}

#[tokio::test]
async fn bytes_after_an_upgrade_that_was_not_agreed_to_are_the_next_request() {
    let here = here().await;
    let (address, record) = strict().await;
    here.route(&[("a", address)]).await;
    let upgrade = "GET /1 HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    let answer = here.raw(format!("{upgrade}\u{1}\0frame\r\n\r\n{SMUGGLED}")).await;
    assert_eq!((status(&answer), answer.matches("HTTP/1.1 ").count()), (200, 2), "{answer}");
    assert!(answer.contains("HTTP/1.1 400"), "a frame is no request: {answer}");
    assert_eq!(record.lock().unwrap().len(), 1);
}

/// Answers with the path of each head, and takes the body of a request for the next one. Counts its connections.
async fn that_ignores_bodies() -> (std::net::SocketAddr, Arc<AtomicU64>) {
    let act = |mut stream: TcpStream| async move {
        loop {
            let head = read_head(&mut stream).await;
            let Some(path) = head.split(' ').nth(1) else { return };
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len());
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    };
    raw_backend(act).await
}

#[tokio::test]
async fn a_body_that_an_application_does_not_expect_is_nobody_elses_request() {
    let here = here().await;
    here.route(&[("a", that_ignores_bodies().await.0)]).await;
    for method in ["GET", "OPTIONS", "TRACE", "HEAD"] {
        for chunked in [false, true] {
            for number in 0..10 {
                let (kind, body) = match chunked {
                    false => (format!("Content-Length: {}", SMUGGLED.len()), SMUGGLED.to_owned()),
                    true => (
                        "Transfer-Encoding: chunked".to_owned(),
                        format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len()),
                    ),
                };
                let with_body =
                    format!("{method} /own HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{kind}\r\n\r\n{body}");
                let answer = here.raw(with_body).await;
                assert!(status(&answer) == 200 && !answer.contains("smuggled"), "{method}: {answer}");
                let victim = here.get("a", &format!("/victim-{number}")).await;
                assert!(victim.ends_with(&format!("/victim-{number}")), "after {method}: {victim}");
            }
        }
    }
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_body_does_not_make_the_rest_a_request() {
    let here = here().await;
    let (address, connections) = that_ignores_bodies().await;
    here.route(&[("a", address)]).await;
    let mut client = here.connect().await;
    let head = format!("POST /own HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", SMUGGLED.len() + 10);
    client.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(status(&read_head(&mut client).await), 200);
    let _ = client.write_all(SMUGGLED.as_bytes()).await;
    let _ = client.write_all(SMUGGLED.as_bytes()).await;
    let mut rest = Vec::new();
    let _ = soon(client.read_to_end(&mut rest)).await;
    let rest = String::from_utf8_lossy(&rest);
    assert!(rest.starts_with("/own") && !rest.contains("200 OK"), "{rest}");
    assert!(here.get("a", "/victim").await.ends_with("/victim"));
    assert_eq!(connections.load(Ordering::SeqCst), 2, "the victim got a connection of its own");
}

#[tokio::test]
async fn what_a_request_expects_is_answered_here() {
    let here = here().await;
    let (address, record) = strict().await;
    here.route(&[("a", address)]).await;
    let expecting = |version: &str, fields: &str| {
        format!("POST / {version}\r\nHost: a\r\nConnection: close\r\n{fields}Content-Length: 2\r\n\r\nok")
    };
    for fields in ["Expect: 100-continue\r\n", "Expect: 100-Continue\r\n", "expect:100-continue\r\n"] {
        let answer = here.raw(expecting("HTTP/1.1", fields)).await;
        assert!(answer.contains("HTTP/1.1 200 OK"), "{fields:?}: {answer}");
        let (head, body) = record.lock().unwrap().pop().unwrap();
        assert!(!head.contains("expect") && body == "ok", "{head}");
    }
    for fields in [
        "Expect: x\r\n",
        "Expect: y 100-continue\r\n",
        "Expect: 100-continue, 100-continue\r\n",
        "Expect: 100-continue\r\nExpect: 100-continue\r\n",
        "Expect: 100\r\n",
        "Expect:\r\n",
    ] {
        let answer = here.raw(expecting("HTTP/1.1", fields) + SMUGGLED).await;
        assert_eq!((status(&answer), reason(&answer)), (417, Some("expectation")), "{fields:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
    assert_eq!(*record.lock().unwrap(), []);
}
