//! What one attempt finds out about a container, and how it says so: row P22 of the faults.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ingress::{ProbeFailure, probe_once};
use model::{Probe, ProbeKind};
use support::*;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const AFTER: Duration = Duration::from_millis(400);

fn tcp() -> Probe {
    Probe { timeout_ms: AFTER.as_millis() as u64, ..Probe::DEFAULT }
}

/// For those that are expected to answer, however slow the machine is.
fn patient(probe: Probe) -> Probe {
    Probe { timeout_ms: PATIENCE.as_millis() as u64, ..probe }
}

fn http(path: &str, status: Option<u16>) -> Probe {
    let (path, host, headers) = (path.to_owned(), None, Vec::new());
    Probe { kind: ProbeKind::Http { path, host, headers, status }, ..tcp() }
}

fn with_headers(host: Option<&str>, headers: &[(&str, &str)]) -> Probe {
    let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let (path, host) = ("/up".to_owned(), host.map(str::to_owned));
    patient(Probe { kind: ProbeKind::Http { path, host, headers, status: None }, ..tcp() })
}

async fn words(address: SocketAddr, probe: Probe) -> String {
    soon(probe_once(address, &probe)).await.unwrap_err().to_string()
}

/// Accepts, says this much, and then nothing more.
async fn says(bytes: &'static str) -> SocketAddr {
    raw_backend(move |mut stream: TcpStream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(bytes.as_bytes()).await;
        std::future::pending::<()>().await;
    })
    .await
    .0
}

#[tokio::test]
async fn a_container_that_is_ready_passes() {
    let fine = named("a").await;
    for probe in [tcp(), http("/up?x", None), http("/", Some(200))] {
        assert_eq!(probe_once(fine, &patient(probe)).await, Ok(()));
    }
    let redirect = canned("HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(probe_once(redirect, &patient(http("/", None))).await, Ok(()));
    assert_eq!(probe_once(redirect, &patient(http("/", Some(302)))).await, Ok(()));
}

#[tokio::test]
async fn a_container_that_is_not_ready_says_how() {
    let nobody = nobody().await;
    assert_eq!(words(nobody, tcp()).await, format!("connection refused at {nobody}"));
    let broken = canned("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(words(broken, patient(http("/up", None))).await, format!("{broken} answered 500 to GET /up"));
    assert_eq!(
        words(broken, patient(http("/up", Some(204)))).await,
        format!("{broken} answered 500 to GET /up instead of 204")
    );
    let ssh = canned("SSH-2.0-OpenSSH\r\n").await;
    assert_eq!(words(ssh, patient(http("/", None))).await, format!("{ssh} answered TCP but not HTTP"));
    let closes = canned("").await;
    assert_eq!(
        words(closes, patient(http("/", None))).await,
        format!("{closes} accepted the connection and closed it without an answer")
    );
    let half = canned("HTTP/1.1 200 OK\r\nContent-").await;
    assert_eq!(
        probe_once(half, &patient(http("/", None))).await,
        Err(ProbeFailure::Closed { address: half })
    );
}

#[tokio::test]
async fn a_container_that_hangs_or_drips_has_the_time_of_the_attempt() {
    let silent =
        |address| format!("{address} accepted the connection and gave no answer to GET /up within 400 ms");
    let drips = raw_backend(|mut stream: TcpStream| async move {
        read_head(&mut stream).await;
        while stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    for address in [says("").await, says("HTTP/1.1 200 OK\r\nX: ").await, drips.await.0] {
        let began = Instant::now();
        assert_eq!(words(address, http("/up", None)).await, silent(address));
        assert!(began.elapsed() >= AFTER);
    }
    // A body is not waited for.
    let endless = says("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").await;
    assert_eq!(probe_once(endless, &patient(http("/", None))).await, Ok(()));
}

#[tokio::test]
async fn a_container_that_takes_no_connection_has_the_time_of_the_attempt() {
    let (address, _full) = full_queue().await;
    let expected = format!("{address} did not accept the connection within 400 ms");
    assert_eq!(words(address, tcp()).await, expected);
    assert_eq!(words(address, http("/", None)).await, expected);
}

#[tokio::test]
async fn a_redirect_is_seen_and_not_followed() {
    let (elsewhere, asked) = raw_backend(|stream| async move { drop(stream) }).await;
    let redirect =
        canned(format!("HTTP/1.1 302 Found\r\nLocation: http://{elsewhere}/\r\nContent-Length: 0\r\n\r\n"));
    let redirect = redirect.await;
    assert_eq!(
        words(redirect, patient(http("/up", Some(200)))).await,
        format!("{redirect} answered 302 to GET /up instead of 200; redirects are not followed")
    );
    assert_eq!(probe_once(redirect, &patient(http("/up", None))).await, Ok(()));
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_container_that_flaps_is_found_as_it_is_each_time() {
    let count = Arc::new(AtomicU64::new(0));
    let address = raw_backend(move |mut stream: TcpStream| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        async move {
            read_head(&mut stream).await;
            let status = if number.is_multiple_of(2) { "200 OK" } else { "503 Busy" };
            let _ =
                stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await;
        }
    });
    let address = address.await.0;
    for number in 0..10 {
        let found = probe_once(address, &patient(http("/", None))).await;
        assert_eq!(found.is_ok(), number % 2 == 0, "{found:?}");
    }
}

#[tokio::test]
async fn another_port_and_headers_are_obeyed() {
    let (address, record) = recorder().await;
    let elsewhere = SocketAddr::new(address.ip(), nobody().await.port());
    let at_its_port = |probe| Probe { port: Some(address.port()), ..probe };
    assert_eq!(probe_once(elsewhere, &at_its_port(patient(tcp()))).await, Ok(()));
    let probe = with_headers(
        Some("shop.example.com"),
        &[("X-Probe", "1"), ("x-probe", "2"), ("Authorization", "Bearer t")],
    );
    assert_eq!(probe_once(elsewhere, &at_its_port(probe)).await, Ok(()));
    let seen = record.lock().unwrap().clone();
    assert!(seen.starts_with("GET /up HTTP/1.1\r\n"), "{seen}");
    for line in ["host: shop.example.com", "x-probe: 1", "x-probe: 2", "authorization: Bearer t"] {
        assert!(seen.lines().any(|seen| seen == line), "{line} in {seen}");
    }

    record.lock().unwrap().clear();
    let probe = with_headers(None, &[("Host", "other"), ("User-Agent", "mine")]);
    assert_eq!(probe_once(address, &probe).await, Ok(()));
    let seen = record.lock().unwrap().clone();
    assert_eq!(seen.matches("host:").count(), 1, "{seen}");
    assert!(seen.contains("host: other\r\n") && seen.contains("user-agent: mine\r\n"), "{seen}");
}

#[tokio::test]
async fn a_probe_that_cannot_be_sent_says_so_without_its_secrets() {
    let (address, record) = recorder().await;
    for probe in [
        http("no slash\n", None),
        with_headers(Some("a\nb"), &[]),
        with_headers(None, &[("X Y", "s3cret")]),
        with_headers(None, &[("X", "s3cret\r\nHost: b")]),
        with_headers(None, &[("Content-Length", "5")]),
        with_headers(None, &[("Transfer-Encoding", "chunked")]),
        Probe { kind: ProbeKind::Exec { command: vec!["true".to_owned()] }, ..tcp() },
    ] {
        let failure = probe_once(address, &probe).await.unwrap_err();
        assert!(matches!(failure, ProbeFailure::Invalid(_)), "{failure:?}");
        assert!(!failure.to_string().contains("s3cret"), "{failure}");
    }
    assert_eq!(*record.lock().unwrap(), "");
}
