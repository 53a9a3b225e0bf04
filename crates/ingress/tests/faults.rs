//! Clients and applications that misbehave.

mod support;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_and_a_bad_one_ends_them() {
    let here = here().await;
    here.route(&[("a", named("a").await)]).await;
    let answer = here
        .raw(
            "GET /?1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /?2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok\
             GET /?3 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n\
             GET /?4 HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await;
    let codes: Vec<&str> =
        answer.match_indices("HTTP/1.1 ").map(|(at, _)| &answer[at + 9..at + 12]).collect();
    assert_eq!(codes, ["200", "200", "400"], "{answer}");
    assert!(
        answer.contains("a 1")
            && answer.contains("a 2")
            && !answer.contains("a 3")
            && !answer.contains("a 4")
    );
}

#[tokio::test]
async fn heads_have_a_limit() {
    let here = here().await;
    here.route(&[("a", named("a").await)]).await;
    let many = "X: y\r\n".repeat(101);
    assert_eq!(status(&here.raw(format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")).await), 431);
    let large = "x".repeat(70_000);
    assert_eq!(status(&here.raw(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {large}\r\n\r\n")).await), 431);
    let fair = "x".repeat(60_000);
    let answer =
        here.raw(format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: {fair}\r\n\r\n")).await;
    assert_eq!(status(&answer), 200);
}

#[tokio::test]
async fn a_client_that_dawdles_with_its_head_is_cut_off() {
    let here = here_in_a_hurry().await;
    here.route(&[("a", named("a").await)]).await;
    for start in ["", "G", "PRI * HT", "GET / HTTP/1.1\r\nHost: a\r\nX: "] {
        let mut stream = here.connect().await;
        stream.write_all(start.as_bytes()).await.unwrap();
        let began = Instant::now();
        let dawdling = async {
            loop {
                let mut byte = [0];
                tokio::select! {
                    read = stream.read(&mut byte) => match read {
                        Ok(1) => {}
                        _ => return,
                    },
                    // One byte now and then does not buy more time.
                    () = tokio::time::sleep(Duration::from_millis(50)), if start.len() > 10 => {
                        let _ = stream.write_all(b"x").await;
                    }
                }
            }
        };
        soon(dawdling).await;
        assert!(began.elapsed() < PATIENCE / 2, "{start:?} took {:?}", began.elapsed());
    }
    assert!(here.get("a", "/").await.ends_with("a "), "others are served");
}

#[tokio::test]
async fn an_idle_connection_outlives_the_time_for_a_head() {
    let here = here_in_a_hurry().await;
    here.route(&[("a", named("a").await)]).await;
    let mut client = here.connect().await;
    for _ in 0..2 {
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut answer = [0; 4096];
        let count = client.read(&mut answer).await.unwrap();
        assert_eq!(status(&String::from_utf8_lossy(&answer[..count])), 200);
        // Time passes for the ingress, which is what this test is about.
        tokio::time::sleep(short().head * 2).await;
    }
}

#[tokio::test]
async fn an_application_that_is_down_is_a_502_at_once() {
    let here = here().await;
    here.route(&[("a", nobody().await)]).await;
    let answer = here.get("a", "/").await;
    assert_eq!((status(&answer), reason(&answer)), (502, Some("refused")));
}

#[tokio::test]
async fn an_application_that_hangs_is_a_504_in_time() {
    let here = here_in_a_hurry().await;
    let act = |mut stream: TcpStream| async move {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    };
    let (address, connections) = raw_backend(act).await;
    here.route(&[("a", address)]).await;
    let began = Instant::now();
    let answer = here.get("a", "/").await;
    assert_eq!((status(&answer), reason(&answer)), (504, Some("answer-timeout")));
    assert!(began.elapsed() < PATIENCE / 2);
    assert_eq!(connections.load(Ordering::SeqCst), 1, "it is not asked again");
}

#[tokio::test]
async fn a_client_that_stops_in_its_body_is_a_408() {
    let here = here_in_a_hurry().await;
    let act = |mut stream: TcpStream| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    };
    here.route(&[("a", raw_backend(act).await.0)]).await;
    let answer = here.raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nonly this").await;
    assert_eq!((status(&answer), reason(&answer)), (408, Some("request-timeout")));
}

#[tokio::test]
async fn a_slow_upload_that_moves_is_waited_for() {
    let here = here_in_a_hurry().await;
    let answer = |request: http::Request<hyper::body::Incoming>| async move {
        let body = http_body_util::BodyExt::collect(request.into_body()).await.unwrap().to_bytes();
        http::Response::new(http_body_util::Full::from(format!("{} bytes", body.len())))
    };
    here.route(&[("a", backend(answer).await)]).await;
    let mut client = here.connect().await;
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4096\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    // Together longer than the time for an answer, each piece shorter.
    for _ in 0..8 {
        tokio::time::sleep(short().answer / 4).await;
        client.write_all(&[b'x'; 512]).await.unwrap();
    }
    let mut answer = String::new();
    soon(client.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.ends_with("4096 bytes"), "{answer}");
}

#[tokio::test]
async fn a_stale_connection_costs_no_request() {
    let here = here().await;
    // It answers once and hangs up without a word, as application servers do with idle connections.
    let act = |mut stream: TcpStream| async move {
        let head = read_head(&mut stream).await;
        if head.is_empty() {
            return;
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        // The next request may already be on its way.
        let _ = stream.read(&mut [0]).await;
    };
    let (address, connections) = raw_backend(act).await;
    here.route(&[("a", address)]).await;
    for _ in 0..50 {
        let answer = here.get("a", "/").await;
        assert!(answer.ends_with("ok"), "{answer}");
    }
    assert!(connections.load(Ordering::SeqCst) >= 50);
}

#[tokio::test]
async fn a_post_is_never_sent_twice() {
    let here = here().await;
    let posts = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = posts.clone();
    let act = move |mut stream: TcpStream| {
        let counted = counted.clone();
        async move {
            loop {
                let head = read_head(&mut stream).await;
                if head.starts_with("POST") {
                    counted.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                if head.is_empty()
                    || stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.is_err()
                {
                    return;
                }
            }
        }
    };
    here.route(&[("a", raw_backend(act).await.0)]).await;
    assert!(here.get("a", "/").await.ends_with("ok"));
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
    let answer = here.raw(post).await;
    assert_eq!((status(&answer), reason(&answer)), (502, Some("closed")));
    assert_eq!(posts.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_client_that_still_sends_gets_to_read_the_refusal() {
    let here = here().await;
    let large = "x".repeat(8 << 20);
    for _ in 0..5 {
        let unknown = format!("POST / HTTP/1.1\r\nHost: b\r\nContent-Length: {}\r\n\r\n{large}", large.len());
        let answer = here.raw(unknown).await;
        assert_eq!((status(&answer), reason(&answer)), (404, Some("unknown-host")));
        let refused = format!("POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 1, 1\r\n\r\n{large}");
        assert_eq!(status(&here.raw(refused).await), 400);
    }
}
