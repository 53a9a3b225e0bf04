//! What passes piece by piece: streams, tunnels, large bodies; and HTTP/2.

mod support;

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut seen = Vec::new();
    let reading = async {
        while !seen.ends_with(end.as_bytes()) {
            seen.push(stream.read_u8().await.unwrap());
        }
    };
    let done = tokio::time::timeout(PATIENCE, reading).await.is_ok();
    let seen = String::from_utf8_lossy(&seen).into_owned();
    assert!(done, "{end:?} did not come after {seen:?}");
    seen
}

#[tokio::test]
async fn an_event_arrives_when_it_is_sent() {
    let here = here().await;
    let (permit, permits) = tokio::sync::watch::channel(0);
    let act = move |mut stream: TcpStream| {
        let mut permits = permits.clone();
        async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").await.unwrap();
            for number in 1..=3 {
                permits.wait_for(|permit| *permit >= number).await.unwrap();
                stream.write_all(format!("data: {number}\n\n").as_bytes()).await.unwrap();
            }
        }
    };
    here.route(&[("a", raw_backend(act).await.0)]).await;
    let mut client = here.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    read_until(&mut client, "\r\n\r\n").await;
    // Each event is sent only after the one before it was seen here.
    for number in 1..=3 {
        permit.send(number).unwrap();
        read_until(&mut client, &format!("data: {number}\n\n")).await;
    }
    assert!(read_until(&mut client, "0\r\n\r\n").await.ends_with("0\r\n\r\n"));
}

#[tokio::test]
async fn a_stream_may_last_longer_than_any_timeout_of_heads() {
    let here = here_in_a_hurry().await;
    let act = |mut stream: TcpStream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").await.unwrap();
        tokio::time::sleep(short().answer * 2).await;
        stream.write_all(b"ok").await.unwrap();
    };
    here.route(&[("a", raw_backend(act).await.0)]).await;
    assert!(here.get("a", "/").await.ends_with("ok"));
}

/// Answers an upgrade and echoes what comes after it.
async fn echoing() -> std::net::SocketAddr {
    let act = |mut stream: TcpStream| async move {
        let head = read_head(&mut stream).await;
        assert!(
            head.contains("upgrade: websocket\r\n") && head.contains("connection: upgrade\r\n"),
            "{head}"
        );
        let switched = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: x\r\n\r\nwelcome.";
        stream.write_all(switched).await.unwrap();
        let (mut read, mut write) = stream.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    };
    raw_backend(act).await.0
}

const UPGRADE: &[u8] = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

#[tokio::test]
async fn a_websocket_is_a_tunnel_and_counts_until_it_ends() {
    let here = here_in_a_hurry().await;
    here.route(&[("a", echoing().await)]).await;
    let mut client = here.connect().await;
    client.write_all(UPGRADE).await.unwrap();
    let head = read_until(&mut client, "\r\n\r\n").await;
    assert_eq!(status(&head), 101);
    assert!(head.contains("upgrade: websocket") && head.contains("sec-websocket-accept: x"), "{head}");
    read_until(&mut client, "welcome.").await;
    // Bytes that would be refused in HTTP, and a pause longer than any timeout for heads.
    for piece in ["\0\n frame", "GET /\n\n", "\r\r\r"] {
        client.write_all(piece.as_bytes()).await.unwrap();
        read_until(&mut client, piece).await;
        tokio::time::sleep(short().head).await;
    }

    here.publish(Default::default()).await;
    assert_eq!(here.client.drain("a-1", Duration::from_millis(20)).await.unwrap().left, 1);
    drop(client);
    assert_eq!(here.client.drain("a-1", PATIENCE).await.unwrap().left, 0);
}

#[tokio::test]
async fn nothing_passes_before_the_application_agreed_to_an_upgrade() {
    let here = here().await;
    let (address, record) = recorder().await;
    here.route(&[("a", address)]).await;
    let answer = here.raw([UPGRADE, b"\x81\x05hello\r\n\r\n"].concat()).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(!record.lock().unwrap().contains("hello"));

    let h2c = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n\r\n";
    assert_eq!(status(&here.raw(h2c).await), 200);
    assert!(!record.lock().unwrap().contains("h2c"));
}

#[tokio::test]
async fn large_bodies_pass_both_ways() {
    const PIECES: usize = 512;
    const PIECE: usize = 64 << 10;
    let here = here().await;
    let echo = |request: Request<hyper::body::Incoming>| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(Full::from(body))
    };
    here.route(&[("a", backend(echo).await)]).await;
    let stream = here.connect().await;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let piece = |number: usize| Ok::<_, std::io::Error>(Frame::data(Bytes::from(vec![number as u8; PIECE])));
    let body = StreamBody::new(stream::iter((0..PIECES).map(piece)));
    let request = Request::post("/").header("host", "a").body(body).unwrap();
    let answer = soon(sender.send_request(request)).await.unwrap();
    assert_eq!(answer.status(), 200);
    let body = soon(answer.into_body().collect()).await.unwrap().to_bytes();
    assert_eq!(body.len(), PIECES * PIECE);
    assert!(
        body.chunks(PIECE).enumerate().all(|(number, piece)| piece.iter().all(|byte| *byte == number as u8))
    );
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_body_arrives() {
    let here = here().await;
    let act = |mut stream: TcpStream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig").await;
        let _ = stream.shutdown().await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    };
    here.route(&[("a", raw_backend(act).await.0)]).await;
    let body = vec![b'x'; 8 << 20];
    let mut client = here.connect().await;
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    client.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = client.into_split();
    let upload = tokio::spawn(async move { write.write_all(&body).await });
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    while !answer.ends_with(b"big") {
        match soon(read.read(&mut buffer)).await {
            Ok(count @ 1..) => answer.extend_from_slice(&buffer[..count]),
            end => panic!("{end:?} after {:?}", String::from_utf8_lossy(&answer)),
        }
    }
    assert_eq!(status(&String::from_utf8_lossy(&answer)), 413);
    let _ = soon(upload).await;
}

#[tokio::test]
async fn head_and_other_answers_without_body_keep_their_fields() {
    let here = here().await;
    let (answers, _) = raw_backend(|mut stream: TcpStream| async move {
        loop {
            let head = read_head(&mut stream).await;
            let answer: &[u8] = match head.split(' ').next().unwrap_or_default() {
                "HEAD" => b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nETag: x\r\n\r\n",
                "GET" => b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n",
                "PUT" => b"HTTP/1.1 204 No Content\r\nETag: x\r\n\r\n",
                "POST" => b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 201 Created\r\nETag: x\r\nContent-Length: 0\r\n\r\n",
                _ => return,
            };
            stream.write_all(answer).await.unwrap();
        }
    })
    .await;
    here.route(&[("a", answers)]).await;
    for (method, expected) in [("HEAD", 200), ("GET", 304), ("PUT", 204), ("POST", 201)] {
        let answer = here.raw(format!("{method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(status(&answer), expected);
        assert!(answer.contains("etag: x") && answer.ends_with("\r\n\r\n"), "{method}: {answer}");
        assert_eq!(answer.contains("content-length: 12345"), method == "HEAD", "{answer}");
    }
}

#[tokio::test]
async fn expect_continue_is_answered() {
    let here = here().await;
    let echo = |request: Request<hyper::body::Incoming>| async move {
        Response::new(Full::from(request.into_body().collect().await.unwrap().to_bytes()))
    };
    here.route(&[("a", backend(echo).await)]).await;
    let mut client = here.connect().await;
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    client.write_all(head).await.unwrap();
    assert_eq!(status(&read_until(&mut client, "\r\n\r\n").await), 100);
    client.write_all(b"hello").await.unwrap();
    assert_eq!(status(&read_until(&mut client, "hello").await), 200);
}

#[tokio::test]
async fn http_1_0_is_served() {
    let here = here().await;
    here.route(&[("a", named("a").await)]).await;
    let answer = here.raw("GET /?x HTTP/1.0\r\nHost: a\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("a x"));
}

#[tokio::test]
async fn http_2_with_prior_knowledge_is_served() {
    let here = here().await;
    let echo = |request: Request<hyper::body::Incoming>| async move {
        let head = format!("{} {:?} ", request.uri(), request.headers().get("cookie"));
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(Full::from([head.as_bytes(), &body].concat()))
    };
    here.route(&[("a", backend(echo).await)]).await;
    let stream = here.connect().await;
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);

    let requests = (0..20).map(|number| {
        let mut sender = sender.clone();
        async move {
            let body =
                StreamBody::new(stream::iter([Ok::<_, std::io::Error>(Frame::data(Bytes::from("body")))]));
            let uri = format!("http://a/p%2F?{number}");
            let request = Request::post(uri)
                .header("cookie", "a=1")
                .header("cookie", "b=2")
                .body(BodyExt::boxed(body))
                .unwrap();
            let answer = sender.send_request(request).await.unwrap();
            let text = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(text, format!("/p%2F?{number} Some(\"a=1; b=2\") body"));
        }
    });
    soon(stream::iter(requests).buffer_unordered(20).collect::<Vec<_>>()).await;

    let mut sender = sender.clone();
    let empty = Empty::<Bytes>::new().map_err(|never| match never {}).boxed();
    let contradicting = Request::get("http://a/").header("host", "b").body(empty).unwrap();
    assert_eq!(sender.send_request(contradicting).await.unwrap().status(), StatusCode::BAD_REQUEST);
}
