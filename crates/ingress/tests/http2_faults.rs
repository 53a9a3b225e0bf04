//! Requests of HTTP/2 that HTTP/1 would read differently: row X4 of the faults, in frames written by hand.

mod support;

use support::frames::*;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The first byte of an answer's fields when its status is 200 (RFC 7541, appendix A).
const IS_200: u8 = 0x88;
const IS_400: u8 = 0x8c;

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Answered(u8),
    Reset,
    Over,
}

async fn outcome(client: &mut RawClient) -> Outcome {
    loop {
        match client.next().await {
            None => return Outcome::Over,
            Some(Frame { kind: GOAWAY, .. }) => return Outcome::Over,
            Some(Frame { kind: RST_STREAM, .. }) => return Outcome::Reset,
            Some(Frame { kind: HEADERS, payload, .. }) => return Outcome::Answered(payload[0]),
            Some(_) => {}
        }
    }
}

const METHOD: (&str, &str) = (":method", "GET");
const SCHEME: (&str, &str) = (":scheme", "http");
const AUTHORITY: (&str, &str) = (":authority", "a");
const PATH: (&str, &str) = (":path", "/");

#[tokio::test]
async fn fields_that_http1_would_read_differently_are_refused() {
    let here = here().await;
    let (address, record) = recorder().await;
    here.route(&[("a", address)]).await;
    let large = "x".repeat(70_000);
    let with = |field: (&'static str, &'static str)| vec![METHOD, SCHEME, AUTHORITY, PATH, field];
    let mut bad = vec![
        // Paths.
        vec![METHOD, SCHEME, AUTHORITY, (":path", "/x\r\nX-Evil: y")],
        vec![METHOD, SCHEME, AUTHORITY, (":path", "/x\nX-Evil: y")],
        vec![METHOD, SCHEME, AUTHORITY, (":path", "/x HTTP/1.1\r\nHost: b\r\n\r\nGET /")],
        vec![METHOD, SCHEME, AUTHORITY, (":path", "/x y")],
        vec![METHOD, SCHEME, AUTHORITY, (":path", "/\0")],
        vec![METHOD, SCHEME, AUTHORITY, (":path", "")],
        vec![METHOD, SCHEME, AUTHORITY, (":path", "x")],
        vec![METHOD, SCHEME, AUTHORITY, (":path", "http://b/")],
        // Methods.
        vec![(":method", "GET / HTTP/1.1\r\nX-Evil: y\r\n"), SCHEME, AUTHORITY, PATH],
        vec![(":method", ""), SCHEME, AUTHORITY, PATH],
        vec![(":method", "G T"), SCHEME, AUTHORITY, PATH],
        vec![(":method", "CONNECT"), AUTHORITY],
        vec![(":method", "CONNECT"), SCHEME, AUTHORITY, PATH, (":protocol", "websocket")],
        // Hosts.
        with(("host", "b")),
        vec![METHOD, SCHEME, (":authority", "a\r\nX-Evil: y"), PATH],
        vec![METHOD, SCHEME, (":authority", "x@a"), PATH],
        vec![METHOD, SCHEME, (":authority", "a/b"), PATH],
        vec![METHOD, SCHEME, (":authority", ""), PATH],
        vec![METHOD, SCHEME, PATH],
        vec![METHOD, SCHEME, PATH, ("host", "a"), ("host", "b")],
        // Two of what there is one of, none of it, the wrong place.
        vec![METHOD, METHOD, SCHEME, AUTHORITY, PATH],
        vec![METHOD, SCHEME, SCHEME, AUTHORITY, PATH],
        vec![METHOD, SCHEME, AUTHORITY, (":authority", "b"), PATH],
        vec![METHOD, SCHEME, AUTHORITY, PATH, (":path", "/evil")],
        vec![SCHEME, AUTHORITY, PATH],
        vec![METHOD, AUTHORITY, PATH],
        vec![METHOD, SCHEME, AUTHORITY],
        vec![METHOD, SCHEME, AUTHORITY, ("x", "y"), PATH],
        with((":evil", "x")),
        with((":status", "200")),
    ];
    bad.extend(
        [
            // Names.
            ("X-Upper", "y"),
            ("x y", "z"),
            ("x:y", "z"),
            ("x\r\ny", "z"),
            ("", "z"),
            // Values.
            ("x", "y\r\nx-evil: z"),
            ("x", "y\nz"),
            ("x", "y\0z"),
            // Of connections.
            ("transfer-encoding", "chunked"),
            ("connection", "close"),
            ("keep-alive", "x"),
            ("proxy-connection", "x"),
            ("upgrade", "websocket"),
            ("te", "gzip"),
            // Lengths.
            ("content-length", "5"),
            ("content-length", "+0"),
            ("content-length", "0, 0"),
        ]
        .map(with),
    );
    bad.push(vec![METHOD, SCHEME, AUTHORITY, PATH, ("x", &large)]);
    for fields in bad {
        let mut client = RawClient::connect(here.http, &[]).await;
        client.send(headers_in_frames(&fields)).await;
        let outcome = outcome(&mut client).await;
        assert_ne!(outcome, Outcome::Answered(IS_200), "{:.200}", format!("{fields:?}"));
        assert_eq!(*record.lock().unwrap(), "", "{:.200}", format!("{fields:?}"));
    }
    let mut client = RawClient::connect(here.http, &[]).await;
    client.send(get(1)).await;
    assert_eq!(outcome(&mut client).await, Outcome::Answered(IS_200));
}

/// As one frame, or as many as it takes.
fn headers_in_frames(fields: &[(&str, &str)]) -> Vec<u8> {
    let block = block(fields);
    let mut pieces = block.chunks(16_384).peekable();
    let first = pieces.next().unwrap_or_default();
    let end = |is_last: bool| if is_last { END_HEADERS } else { 0 };
    let mut frames = frame(HEADERS, END_STREAM | end(pieces.peek().is_none()), 1, first);
    while let Some(piece) = pieces.next() {
        frames.extend(frame(CONTINUATION, end(pieces.peek().is_none()), 1, piece));
    }
    frames
}

#[tokio::test]
async fn the_host_may_come_as_a_field_and_a_contradiction_is_a_400() {
    let here = here().await;
    here.route(&[("a", named("a").await)]).await;
    let with_host = [METHOD, SCHEME, PATH, ("host", "a")];
    for (fields, expected) in
        [(&with_host[..], IS_200), (&[METHOD, SCHEME, AUTHORITY, PATH, ("host", "b")][..], IS_400)]
    {
        let mut client = RawClient::connect(here.http, &[]).await;
        client.send(headers(1, END_STREAM, fields)).await;
        assert_eq!(outcome(&mut client).await, Outcome::Answered(expected), "{fields:?}");
    }
}

#[tokio::test]
async fn a_body_of_another_length_than_announced_is_no_request() {
    let here = here().await;
    let whole = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = whole.clone();
    let act = move |mut stream: TcpStream| {
        let seen = seen.clone();
        async move {
            let head = read_head(&mut stream).await;
            let mut body = [0; 5];
            // A whole request has this many bytes, and then nothing.
            if stream.read_exact(&mut body).await.is_ok() {
                seen.lock().unwrap().push(head);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            }
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    };
    here.route(&[("a", raw_backend(act).await.0)]).await;
    let post = [(":method", "POST"), SCHEME, AUTHORITY, PATH, ("content-length", "5")];
    for (body, is_whole) in [(&b"abc"[..], false), (b"abcdef", false), (b"", false), (b"abcde", true)] {
        let mut client = RawClient::connect(here.http, &[]).await;
        client.send([headers(1, 0, &post), frame(DATA, END_STREAM, 1, body)].concat()).await;
        let is_200 = outcome(&mut client).await == Outcome::Answered(IS_200);
        assert_eq!(is_200, is_whole, "{body:?}");
    }
    assert_eq!(whole.lock().unwrap().len(), 1);
    assert_eq!(here.client.drain("a-1", PATIENCE).await.unwrap().left, 0);
}

#[tokio::test]
async fn fields_after_a_body_say_nothing_about_the_request() {
    let here = here().await;
    let (address, record) = recorder().await;
    here.route(&[("a", address)]).await;
    let post = [(":method", "POST"), SCHEME, AUTHORITY, PATH];
    for evil in [(":path", "/evil"), ("host", "evil"), ("x-forwarded-for", "evil"), ("content-length", "666")]
    {
        let mut client = RawClient::connect(here.http, &[]).await;
        let trailers = headers(1, END_STREAM, &[evil]);
        client.send([headers(1, 0, &post), frame(DATA, 0, 1, b"ab"), trailers].concat()).await;
        outcome(&mut client).await;
        let seen = record.lock().unwrap();
        assert!(!seen.contains("evil") && !seen.contains("666"), "{evil:?}: {seen}");
    }
}

/// The windows that the other side gives: of a stream by its settings, of the connection by what it adds.
async fn windows(stream: &mut (impl AsyncReadExt + Unpin)) -> (u32, u32) {
    let (mut of_stream, mut of_connection) = (None, None);
    while of_stream.is_none() || of_connection.is_none() {
        let frame = soon(read_frame(stream)).await.unwrap();
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        match frame.kind {
            SETTINGS if frame.flags & ACK == 0 => {
                let mut settings = frame.payload.chunks(6);
                of_stream =
                    settings.find(|setting| setting[..2] == [0, 4]).map(|setting| number(&setting[2..]));
            }
            WINDOW_UPDATE if frame.stream == 0 => of_connection = Some(65_535 + number(&frame.payload)),
            _ => {}
        }
    }
    (of_stream.unwrap(), of_connection.unwrap())
}

#[tokio::test]
async fn neither_side_may_send_much_ahead_of_the_other() {
    let here = here().await;
    let (seen, mut windows_of_backend) = tokio::sync::mpsc::unbounded_channel();
    let (address, _) = raw_backend(move |mut stream: TcpStream| {
        let seen = seen.clone();
        async move {
            stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
            stream.read_exact(&mut [0; 24]).await.unwrap();
            let _ = seen.send(windows(&mut stream).await);
        }
    })
    .await;
    let backend = ingress::Backend { protocol: ingress::BackendProtocol::H2c, ..speaks_http1("b1", address) };
    let route = ingress::Route { backends: vec![backend], ..serving("b1", address) };
    here.publish(ingress::RouteTable { routes: [("a".to_owned(), route)].into(), ..Default::default() })
        .await;
    let mut client = RawClient::connect(here.http, &[]).await;
    assert_eq!(windows(&mut client.0).await, (64 << 10, 256 << 10));
    assert!(client.send(get(1)).await);
    let (of_answer, of_connection) = soon(windows_of_backend.recv()).await.unwrap();
    assert_eq!((of_answer, of_connection), (32 << 10, 3200 << 10));
}

#[tokio::test]
async fn a_request_that_an_application_did_not_process_is_sent_once_more() {
    let here = here().await;
    // Kind and payload of the frame that refuses the second request: GOAWAY after the first, REFUSED_STREAM, INTERNAL_ERROR.
    let refusals: [(u8, &[u8], (u16, u64)); 3] = [
        (GOAWAY, &[], (200, 3)),
        (RST_STREAM, &[0, 0, 0, 7], (200, 3)),
        (RST_STREAM, &[0, 0, 0, 2], (502, 2)),
    ];
    for (number, (kind, payload, expected)) in refusals.into_iter().enumerate() {
        let asked = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        let counted = asked.clone();
        let (address, _) = raw_backend(move |mut stream: TcpStream| {
            let counted = counted.clone();
            async move {
                stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
                stream.read_exact(&mut [0; 24]).await.unwrap();
                while let Some(Frame { kind: came, stream: id, .. }) = read_frame(&mut stream).await {
                    if came != HEADERS {
                        continue;
                    }
                    let answer = match counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                        1 if kind == GOAWAY => frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]),
                        1 => frame(kind, 0, id, payload),
                        _ => frame(HEADERS, END_HEADERS | END_STREAM, id, &[IS_200]),
                    };
                    stream.write_all(&answer).await.unwrap();
                }
            }
        })
        .await;
        let id = format!("b{number}");
        let backend =
            ingress::Backend { protocol: ingress::BackendProtocol::H2c, ..speaks_http1(&id, address) };
        let route = ingress::Route { backends: vec![backend], ..serving(&id, address) };
        let routes = [("a".to_owned(), route)].into();
        here.publish(ingress::RouteTable { routes, ..Default::default() }).await;
        assert_eq!(status(&here.get("a", "/").await), 200);
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let answer = here.raw(post).await;
        let sent = asked.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!((status(&answer), sent), expected, "{number}: {answer}");
    }
}
