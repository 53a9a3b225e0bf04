//! What applications answer: rows X10, X11 and X12 of the faults.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Answers every request with the same bytes and keeps its connections, of which the number is given.
async fn keeping(bytes: impl Into<Vec<u8>>) -> (SocketAddr, Arc<AtomicU64>) {
    let bytes: Arc<Vec<u8>> = Arc::new(bytes.into());
    raw_backend(move |mut stream: TcpStream| {
        let bytes = bytes.clone();
        async move {
            while !read_head(&mut stream).await.is_empty() {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_a_502_and_its_connection_is_not_used_again() {
    let here = here().await;
    let large = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(300));
    let chunked = "0\r\n\r\n";
    for bad in [
        // No HTTP/1.
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "<html>hello</html>",
        "\r\n\r\n\r\n\0",
        "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
        "ICY 200 OK\r\nContent-Length: 0\r\n\r\n",
        // Status.
        "HTTP/1.1 99 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 -20 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        // Fields.
        "HTTP/1.1 200 OK\r\nX\0Y: 1\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX Y: 1\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX : 1\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n",
        &large,
        &many,
        // Lengths.
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0, 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0x0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        &format!("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"),
        &format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n{chunked}"),
        &format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n{chunked}"),
        &format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n{chunked}"),
        &format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"
        ),
        &format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n{chunked}"),
        &format!("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"),
    ] {
        let (address, connections) = keeping(bad).await;
        here.route(&[("a", address)]).await;
        let shown = &bad[..bad.len().min(80)];
        for number in 1..=2 {
            let answer = here.get("a", "/").await;
            assert_eq!((status(&answer), reason(&answer)), (502, Some("bad-answer")), "{shown:?}: {answer}");
            assert!(!answer.contains("OpenSSH") && !answer.contains("<html>hello"), "{answer}");
            assert_eq!(connections.load(Ordering::SeqCst), number, "{shown:?}");
        }
        here.publish(Default::default()).await;
    }
    for bad in ["", "HTTP/1.1 200 OK\r\nContent-", "H"] {
        here.route(&[("a", canned(bad).await)]).await;
        let answer = here.get("a", "/").await;
        assert_eq!((status(&answer), reason(&answer)), (502, Some("closed")), "{bad:?}");
        here.publish(Default::default()).await;
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_made_whole() {
    let here = here().await;
    here.route(&[("a", canned("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort").await)]).await;
    let answer = here.get("a", "/").await;
    assert!(answer.ends_with("\r\n\r\nshort") && answer.contains("content-length: 100"), "{answer}");

    for bad in [
        "5\r\nshort",
        "5\r\nshort\r\n",
        "5\r\nshort\r\nxyz\r\n",
        "5\r\nshortXX0\r\n\r\n",
        "5\r\nshort\r\n0\r\n",
    ] {
        here.publish(Default::default()).await;
        let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{bad}");
        here.route(&[("a", canned(chunked).await)]).await;
        let answer = here.get("a", "/").await;
        assert!(!answer.contains("\r\n0\r\n"), "{bad:?}: no end where there was none: {answer}");
    }
}

#[tokio::test]
async fn what_follows_an_answer_is_never_another_clients() {
    const EVIL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let here = here().await;
    for mine in [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine",
        // One that says less than it sends.
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine and more",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nmine\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nX: mine\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nX: mine\r\n\r\nwith a body",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine",
    ] {
        here.route(&[("a", keeping(format!("{mine}{EVIL}")).await.0)]).await;
        for _ in 0..20 {
            let answer = here.get("a", "/").await;
            assert!(answer.contains("mine") && !answer.contains("evil"), "{mine:?}: {answer}");
        }
        let head = here.raw("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert!(!head.contains("evil"), "{head}");
        here.publish(Default::default()).await;
    }
}

#[tokio::test]
async fn an_answer_without_end_is_passed_on_as_it_comes() {
    let here = here().await;
    let act = |mut stream: TcpStream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nuntil it closes").await.unwrap();
    };
    here.route(&[("a", raw_backend(act).await.0)]).await;
    let answer = here.get("a", "/").await;
    assert!(answer.contains("until it closes") && answer.ends_with("0\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn words_before_an_answer_without_end_are_a_504() {
    let here = here_in_a_hurry().await;
    let act = |mut stream: TcpStream| async move {
        read_head(&mut stream).await;
        while stream.write_all(&b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(100)).await.is_ok() {
        }
    };
    here.route(&[("a", raw_backend(act).await.0), ("b", named("b").await)]).await;
    let (answer, other) = tokio::join!(here.get("a", "/"), here.get("b", "/"));
    assert_eq!((status(&answer), reason(&answer)), (504, Some("answer-timeout")));
    assert!(other.ends_with("b "), "others are answered meanwhile");
}

#[tokio::test]
async fn fields_of_one_connection_end_at_it() {
    let here = here().await;
    let answer = "HTTP/1.1 407 Proxy Authentication Required\r\nConnection: x-hop, Content-Length\r\nX-Hop: gone\r\n\
        Connection: close\r\nKeep-Alive: gone\r\nProxy-Authenticate: gone\r\nProxy_Connection: gone\r\n\
        Proxy-Connection: gone\r\nTE: gone\r\nUpgrade: gone\r\nDarsena-Ingress: gone\r\nDarsena_Ingress: gone\r\n\
        Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Mine: stays\r\nContent-Length: 4\r\n\r\nbody";
    here.route(&[("a", keeping(answer).await.0)]).await;
    let answer = here
        .raw("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(answer.matches("HTTP/1.1 407").count(), 2, "the client's connection is kept: {answer}");
    assert!(!answer.contains("gone"), "{answer}");
    for line in ["set-cookie: a=1", "set-cookie: b=2", "x-mine: stays", "content-length: 4"] {
        assert_eq!(answer.lines().filter(|seen| *seen == line).count(), 2, "{line} in {answer}");
    }
}

#[tokio::test]
async fn an_application_that_does_not_take_the_connection_is_a_504_in_time() {
    let here = here_in_a_hurry().await;
    let (address, _full) = full_queue().await;
    here.route(&[("a", address)]).await;
    let began = Instant::now();
    let answer = here.get("a", "/").await;
    assert_eq!((status(&answer), reason(&answer)), (504, Some("connect-timeout")));
    assert!(began.elapsed() >= short().connect);
}

#[tokio::test]
async fn an_application_that_begins_its_head_and_hangs_is_a_504_in_time() {
    let here = here_in_a_hurry().await;
    let act = |mut stream: TcpStream| async move {
        read_head(&mut stream).await;
        for byte in b"HTTP/1.1 200 OK\r\nX: ".iter().chain(&[b'x'; 1000]) {
            let _ = stream.write_all(&[*byte]).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (address, connections) = raw_backend(act).await;
    here.route(&[("a", address)]).await;
    let answer = here.get("a", "/").await;
    assert_eq!((status(&answer), reason(&answer)), (504, Some("answer-timeout")));
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

/// Answers the first request of a connection, and hangs up on the second one once it has read its head.
async fn that_hangs_up() -> (SocketAddr, Arc<std::sync::Mutex<Vec<String>>>) {
    let heads = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = heads.clone();
    let act = move |mut stream: TcpStream| {
        let seen = seen.clone();
        async move {
            for number in 0..2 {
                let head = read_head(&mut stream).await;
                let Some(line) = head.lines().next() else { return };
                seen.lock().unwrap().push(line.to_owned());
                if number == 0 {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                }
            }
            // What was not read yet would make it a reset.
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    };
    (raw_backend(act).await.0, heads)
}

#[tokio::test]
async fn only_what_is_safe_to_repeat_is_sent_again_and_only_once() {
    let here = here().await;
    for (method, body, is_sent_again) in [
        ("GET", "", true),
        ("HEAD", "", true),
        ("OPTIONS", "", true),
        ("GET", "body", false),
        ("PUT", "", false),
        ("DELETE", "", false),
        ("PATCH", "body", false),
        ("POST", "body", false),
        ("POST", "", false),
    ] {
        let (address, heads) = that_hangs_up().await;
        here.route(&[("a", address)]).await;
        assert!(here.get("a", "/first").await.ends_with("ok"));
        let request = format!(
            "{method} /second HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let answer = here.raw(request).await;
        let sent = heads.lock().unwrap().iter().filter(|line| line.contains("/second")).count();
        match is_sent_again {
            true => assert_eq!((status(&answer), sent), (200, 2), "{method}"),
            false => {
                assert_eq!((status(&answer), reason(&answer), sent), (502, Some("closed"), 1), "{method}")
            }
        }
        here.publish(Default::default()).await;
    }
    // A fresh connection that brings nothing is not tried again.
    let (address, connections) = raw_backend(|mut stream: TcpStream| async move {
        read_head(&mut stream).await;
    })
    .await;
    here.route(&[("a", address)]).await;
    assert_eq!(reason(&here.get("a", "/").await), Some("closed"));
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}
