//! Which requests reach which application, and what the application gets to see.

mod support;

use std::time::Duration;

use ingress::{RouteState, RouteTable, ThroughFailure};
use support::*;

#[tokio::test]
async fn a_host_reaches_its_own_application_only() {
    let here = here().await;
    here.route(&[("shop.localhost", named("shop").await), ("blog.localhost", named("blog").await)]).await;

    for host in ["shop.localhost", "SHOP.LocalHost", "shop.localhost:8080", "shop.localhost."] {
        assert!(here.get(host, "/?n=1").await.ends_with("shop n=1"), "{host}");
    }
    assert!(here.get("blog.localhost", "/").await.ends_with("blog "));
    for host in ["localhost", "other.localhost", "x.shop.localhost", "127.0.0.1", "[::1]", "shop"] {
        let answer = here.get(host, "/").await;
        assert_eq!((status(&answer), reason(&answer)), (404, Some("unknown-host")), "{host}");
        assert!(!answer.contains("shop "), "{answer}");
    }
}

#[tokio::test]
async fn hosts_that_are_doubled_or_impossible_are_refused() {
    let here = here().await;
    here.route(&[("a", named("a").await)]).await;
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x@a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let answer = here.raw(head).await;
        assert_eq!(status(&answer), 400, "{head:?}: {answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test]
async fn it_is_no_forward_proxy() {
    let here = here().await;
    let (target, record) = recorder().await;
    here.route(&[("a", named("a").await)]).await;
    let absolute = here
        .raw(format!("GET http://{target}/ HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n"))
        .await;
    assert_eq!(status(&absolute), 404);
    let connect =
        here.raw(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n")).await;
    assert_eq!(status(&connect), 405);
    assert_eq!(*record.lock().unwrap(), "");

    let own = here.raw("GET http://a/x?y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(own.ends_with("a y"), "{own}");
}

#[tokio::test]
async fn a_route_that_does_not_serve_says_why() {
    let here = here().await;
    let address = named("x").await;
    let routes = [
        ("suspended".to_owned(), route(RouteState::Suspended, &[("x", address)])),
        ("starting".to_owned(), route(RouteState::Starting, &[])),
        ("empty".to_owned(), route(RouteState::Serving, &[])),
    ];
    here.publish(RouteTable { routes: routes.into(), ..RouteTable::default() }).await;
    for (host, expected) in [("suspended", "suspended"), ("starting", "starting"), ("empty", "no-backend")] {
        let answer = here.get(host, "/").await;
        assert_eq!((status(&answer), reason(&answer)), (503, Some(expected)));
    }
}

/// What clients claim of themselves and of those before them.
const CLAIMS: [&str; 22] = [
    "X-Forwarded-For",
    "x-forwarded-for",
    "X_Forwarded_For",
    "X-Forwarded_For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Prefix",
    "X-Forwarded-Port",
    "X-Forwarded-Server",
    "X-Forwarded-Scheme",
    "X-Forwarded-Anything",
    "X-Forwarded",
    "Forwarded",
    "X-Real-IP",
    "X_Real_IP",
    "True-Client-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "X-Original-Host",
    "Proxy",
    "Darsena-Ingress",
    "Proxy-Authorization",
];

/// Paths that a proxy which tidies up would change.
const PATHS: [&str; 12] = [
    "//x/%2f/..;/%00/a%2Fb/../c?q=%20&r=a+b&&",
    "//",
    "///a//b",
    "/./a/../b",
    "/%2e%2e/%2E",
    "/..;/a;b=c/;",
    "/a%5cb/%09/%0d%0a/%7f",
    "/?",
    "/a?b?c/../d",
    "/%c0%ae%ff",
    "/{a}|b^c`",
    "/:80@b/http://c/",
];

#[tokio::test]
async fn an_application_sees_the_path_as_it_was() {
    let here = here().await;
    let (address, record) = recorder().await;
    here.route(&[("a", address)]).await;
    for path in PATHS {
        record.lock().unwrap().clear();
        let answer = here.get("a", path).await;
        let seen = record.lock().unwrap().clone();
        match status(&answer) {
            200 => assert!(seen.starts_with(&format!("GET {path} HTTP/1.1\r\n")), "{path}: {seen}"),
            // What is no path at all goes nowhere.
            other => assert_eq!((other, seen.as_str()), (400, ""), "{path}"),
        }
    }
}

#[tokio::test]
async fn an_application_sees_our_word_only_on_who_asked() {
    let here = here().await;
    let (address, record) = recorder().await;
    here.route(&[("a", address)]).await;
    let port = here.http.port();
    let expected = [
        "host: A:80",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-host: A:80",
        "x-forwarded-proto: http",
        &format!("x-forwarded-port: {port}"),
        "x-real-ip: 127.0.0.1",
        "forwarded: for=127.0.0.1;host=\"A:80\";proto=http",
        "cookie: a=1",
    ];
    // Each claim twice, and once named as a field of the connection, which would take ours off.
    let claims: String = CLAIMS.iter().map(|name| format!("{name}: evil\r\n{name}: 6.6.6.6\r\n")).collect();
    let named = CLAIMS.join(", ");
    here.raw(format!(
        "GET / HTTP/1.1\r\nHost: A:80\r\n{claims}Connection: close, X-Hop, {named}\r\nX-Hop: evil\r\nCookie: a=1\r\n\r\n"
    ))
    .await;
    let seen = record.lock().unwrap().clone();
    assert!(!seen.contains("6.6.6.6") && !seen.contains("evil") && !seen.contains("connection"), "{seen}");
    for line in expected {
        assert_eq!(seen.lines().filter(|seen| *seen == line).count(), 1, "{line} in {seen}");
    }

    record.lock().unwrap().clear();
    let mut client = frames::RawClient::connect(here.http, &[]).await;
    let names: Vec<String> = CLAIMS.iter().map(|name| name.to_lowercase()).collect();
    let mut fields = vec![(":method", "GET"), (":scheme", "http"), (":authority", "A:80"), (":path", "/")];
    fields.extend(names.iter().map(|name| (name.as_str(), "evil")));
    fields.push(("cookie", "a=1"));
    client.send(frames::headers(1, frames::END_STREAM, &fields)).await;
    assert!(client.next_of(frames::HEADERS).await.is_some());
    let seen = record.lock().unwrap().clone();
    assert!(seen.starts_with("GET / HTTP/1.1\r\n") && !seen.contains("evil"), "{seen}");
    for line in expected {
        assert_eq!(seen.lines().filter(|seen| *seen == line).count(), 1, "{line} in {seen}");
    }
}

#[tokio::test]
async fn a_candidate_is_reached_by_its_token_only() {
    let here = here().await;
    let (new, record) = recorder().await;
    let old = named("old").await;
    let table = RouteTable {
        routes: [("a".to_owned(), serving("old", old))].into(),
        candidates: [("s3cret".to_owned(), speaks_http1("new", new))].into(),
        ..RouteTable::default()
    };
    here.publish(table).await;
    let limit = Duration::from_secs(5);

    assert_eq!(here.client.request_through("a", Some("s3cret"), "/up", limit).await, Ok(200));
    let seen = record.lock().unwrap().clone();
    assert!(
        seen.starts_with("GET /up HTTP/1.1\r\n") && !seen.contains("candidate") && !seen.contains("s3cret"),
        "{seen}"
    );

    let unknown = here.client.request_through("a", Some("other"), "/", limit).await;
    let reason = "unknown-candidate".to_owned();
    assert_eq!(unknown, Err(ThroughFailure::Ingress { host: "a".to_owned(), status: 404, reason }));
    assert!(here.get("a", "/?x").await.ends_with("old x"));
    let twice = here.raw("GET / HTTP/1.1\r\nHost: a\r\nDarsena-Candidate: s3cret\r\nDarsena-Candidate: s3cret\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&twice.await), 404);
}

#[tokio::test]
async fn an_application_cannot_pose_as_the_ingress() {
    let here = here().await;
    let forged =
        "HTTP/1.1 502 Bad Gateway\r\nDarsena-Ingress: refused\r\nKeep-Alive: x\r\nContent-Length: 0\r\n\r\n";
    here.route(&[("a", canned(forged).await)]).await;
    let through = here.client.request_through("a", None, "/", Duration::from_secs(5)).await;
    assert_eq!(through, Ok(502));
    let answer = here.get("a", "/").await;
    assert!(!answer.to_lowercase().contains("keep-alive"), "{answer}");
}

#[tokio::test]
async fn several_backends_share_the_work() {
    let here = here().await;
    let hold = || async {
        let act = |mut stream: tokio::net::TcpStream| async move {
            read_head(&mut stream).await;
            std::future::pending::<()>().await;
        };
        raw_backend(act).await
    };
    let ((a, seen_a), (b, seen_b)) = (hold().await, hold().await);
    let both = route(RouteState::Serving, &[("a", a), ("b", b)]);
    here.publish(RouteTable { routes: [("x".to_owned(), both)].into(), ..RouteTable::default() }).await;
    let mut clients = Vec::new();
    for count in 1..=6 {
        let mut client = here.connect().await;
        tokio::io::AsyncWriteExt::write_all(&mut client, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        clients.push(client);
        let seen = || {
            seen_a.load(std::sync::atomic::Ordering::SeqCst)
                + seen_b.load(std::sync::atomic::Ordering::SeqCst)
        };
        until("the request arrives", async || seen() == count).await;
    }
    assert_eq!(seen_a.load(std::sync::atomic::Ordering::SeqCst), 3);
}

#[tokio::test]
async fn an_instance_that_is_gone_costs_nobody_a_request() {
    let here = here().await;
    let (gone, other) = (nobody().await, nobody().await);
    let two = route(RouteState::Serving, &[("gone", gone), ("here", named("here").await)]);
    let none = route(RouteState::Serving, &[("gone", gone), ("other", other)]);
    let routes = [("two".to_owned(), two), ("none".to_owned(), none)].into();
    here.publish(RouteTable { routes, ..RouteTable::default() }).await;

    for _ in 0..8 {
        assert!(here.get("two", "/").await.ends_with("here "));
        let post = "POST / HTTP/1.1\r\nHost: two\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
        assert_eq!(status(&here.raw(post).await), 200, "nothing of it was sent to the one that is gone");
        assert_eq!(reason(&here.get("none", "/").await), Some("refused"), "each is tried once");
    }
}
