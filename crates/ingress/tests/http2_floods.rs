//! Floods of HTTP/2 frames: row X5 of the faults. Each connection ends or is held up, the memory of the ingress stays
//! bounded, and another client goes on being answered.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ingress::{Limits, RouteTable, Timeouts};
use support::frames::*;
use support::place::Place;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// So much more memory an attack may take, whatever it sends.
const MEMORY_KIB: u64 = 48 << 10;

/// An ingress process with two applications: `a` for the attacker, `b` for somebody else, who asks all the time.
struct Siege {
    place: Place,
    http: SocketAddr,
    pid: u32,
    before: u64,
    asked: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    other: tokio::task::JoinHandle<()>,
}

impl Siege {
    async fn of(attacked: SocketAddr) -> Self {
        let place = Place::new();
        let client = place.client().await;
        let routes = [("a", attacked), ("b", named("b").await)];
        let route = |(host, address): (&str, SocketAddr)| (host.to_owned(), serving(host, address));
        let routes = routes.into_iter().map(route).collect();
        client.publish(&RouteTable { version: 1, routes, ..RouteTable::default() }).await.unwrap();
        let hello = client.hello().await.unwrap();
        let (asked, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let other = tokio::spawn({
            let (asked, is_over, http) = (asked.clone(), is_over.clone(), hello.http);
            async move {
                while !is_over.load(Ordering::SeqCst) {
                    let request = "GET / HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n";
                    let answer = exchange(http, request).await;
                    assert!(answer.ends_with("b "), "{answer:?}");
                    asked.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        let siege = Self { place, http: hello.http, pid: hello.pid, before: 0, asked, is_over, other };
        siege.until_others_were_answered(20).await;
        Self { before: memory_kib(hello.pid), ..siege }
    }

    async fn until_others_were_answered(&self, times: u64) {
        let wanted = self.asked.load(Ordering::SeqCst) + times;
        until("others are answered", async || {
            self.asked.load(Ordering::SeqCst) >= wanted || self.other.is_finished()
        })
        .await;
    }

    /// Whatever was done before, others are answered, and the memory at its peak was bounded.
    async fn held(self) {
        self.until_others_were_answered(20).await;
        self.is_over.store(true, Ordering::SeqCst);
        soon(self.other).await.unwrap();
        let grown = status_kib(self.pid, "VmHWM").saturating_sub(self.before);
        assert!(grown < MEMORY_KIB, "{grown} KiB more");
        assert!(self.place.client().await.hello().await.unwrap().pid == self.pid, "it is the same process");
    }
}

/// Takes a request and says nothing, until the other side goes away.
async fn silent() -> SocketAddr {
    raw_backend(|mut stream: TcpStream| async move {
        read_head(&mut stream).await;
        let _ = stream.read(&mut [0]).await;
    })
    .await
    .0
}

/// Answers with a body that never ends.
async fn endless() -> SocketAddr {
    raw_backend(|mut stream: TcpStream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b'x'; 16 << 10]).await.is_ok() {}
    })
    .await
    .0
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The ingress ended the connection.
    Closed,
    /// It takes no more.
    HeldUp,
    /// It took all that there was.
    Taken,
}

/// Sends batch after batch. What comes back is read or not.
async fn flood(
    client: RawClient,
    reads: bool,
    batches: u32,
    mut batch: impl FnMut(u32) -> Vec<u8>,
) -> (End, Option<Frame>) {
    let (mut read, mut write) = client.0.into_split();
    let reading = tokio::spawn(async move {
        if !reads {
            std::future::pending::<()>().await;
        }
        let mut goaway = None;
        loop {
            match read_frame(&mut read).await {
                Some(frame) if frame.kind == GOAWAY => goaway = Some(frame),
                Some(_) => {}
                None => return goaway,
            }
        }
    });
    for number in 0..batches {
        match tokio::time::timeout(Duration::from_secs(3), write.write_all(&batch(number))).await {
            Ok(Ok(())) if !reading.is_finished() => {}
            Ok(_) if reads => return (End::Closed, soon(reading).await.unwrap_or_default()),
            Ok(Ok(())) => {}
            Ok(Err(_)) => return (End::Closed, None),
            Err(_) => return (End::HeldUp, None),
        }
    }
    // The end may still be on its way.
    match reads {
        true => match tokio::time::timeout(Duration::from_secs(3), reading).await {
            Ok(goaway) => (End::Closed, goaway.unwrap_or_default()),
            Err(_) => (End::Taken, None),
        },
        false => (End::Taken, None),
    }
}

/// What a client does to its stream.
type Fault = fn(u32) -> Vec<u8>;

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())
}

/// Odd stream numbers, a batch at a time.
fn streams(batch: u32, size: u32) -> impl Iterator<Item = u32> {
    (batch * size..(batch + 1) * size).map(|number| 2 * number + 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_reset_at_once_end_the_connection() {
    for attacked in [silent().await, endless().await, nobody().await] {
        let siege = Siege::of(attacked).await;
        let client = RawClient::connect(siege.http, &[]).await;
        let all_at_once = |batch| streams(batch, 50).flat_map(|id| [get(id), reset(id)].concat()).collect();
        let (end, _) = flood(client, true, 2000, all_at_once).await;
        assert_eq!(end, End::Closed);
        siege.held().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_reset_after_they_were_passed_on_end_the_connection() {
    let (address, passed_on) = raw_backend(|mut stream: TcpStream| async move {
        read_head(&mut stream).await;
        let _ = stream.read(&mut [0]).await;
    })
    .await;
    let siege = Siege::of(address).await;
    let mut client = RawClient::connect(siege.http, &[]).await;
    let mut sent = 0;
    for id in streams(0, 5000) {
        if !client.send(get(id)).await {
            break;
        }
        sent += 1;
        until("it is passed on, or the connection is over", async || {
            passed_on.load(Ordering::SeqCst) >= sent || is_over(&client.0)
        })
        .await;
        if !client.send(reset(id)).await {
            break;
        }
    }
    assert!((100..4000).contains(&sent), "it ended after {sent} requests");
    siege.held().await;
}

/// Whether the other side has closed; takes what it sent.
fn is_over(stream: &TcpStream) -> bool {
    let mut taken = [0; 4096];
    loop {
        match stream.try_read(&mut taken) {
            Ok(1..) => {}
            Ok(0) => return true,
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_we_have_to_reset_end_the_connection() {
    let siege = Siege::of(silent().await).await;
    let faults: [(&str, Fault); 7] = [
        ("a window opened by nothing", |id| frame(WINDOW_UPDATE, 0, id, &0u32.to_be_bytes())),
        ("a window opened too far", |id| {
            frame(WINDOW_UPDATE, 0, id, &0x7fff_ffffu32.to_be_bytes()).repeat(2)
        }),
        ("a stream that depends on itself", |id| {
            frame(PRIORITY, 0, id, &[&id.to_be_bytes()[..], &[1]].concat())
        }),
        ("a priority that is too long", |id| frame(PRIORITY, 0, id, &[0; 6])),
        ("a body after the end", |id| frame(DATA, 0, id, b"x")),
        ("fields after the end", |id| headers(id, END_STREAM, &GET)),
        ("a reset that is too short", |id| frame(RST_STREAM, 0, id, &[0; 3])),
    ];
    for (what, fault) in faults {
        let client = RawClient::connect(siege.http, &[]).await;
        let one_by_one = |batch| streams(batch, 10).flat_map(|id| [get(id), fault(id)].concat()).collect();
        let (end, _) = flood(client, true, 1000, one_by_one).await;
        assert_eq!(end, End::Closed, "{what}");
    }
    siege.held().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_without_end_end_the_connection() {
    let siege = Siege::of(silent().await).await;
    for payload in [block(&[("x", &"y".repeat(1000))]), block(&[("x", "")]), Vec::new()] {
        let mut client = RawClient::connect(siege.http, &[]).await;
        client.send(frame(HEADERS, END_STREAM, 1, &block(&GET))).await;
        let (end, _) = flood(client, true, 2000, |_| frame(CONTINUATION, 0, 1, &payload).repeat(50)).await;
        assert_eq!(end, End::Closed);
    }
    siege.held().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_fields_that_is_used_again_and_again_does_not_grow() {
    let siege = Siege::of(named("a").await).await;
    let client = RawClient::connect(siege.http, &[]).await;
    // A field of 4,000 bytes enters the table once; each further byte stands for all of it (RFC 7541, 6.1).
    let mut first = block(&GET);
    first.extend([0x40, 1, b'x', 127, 0xa1, 0x1e]);
    first.extend([b'y'; 4000]);
    let again = [block(&GET), vec![0xbe; 12_000]].concat();
    let batch = |batch: u32| {
        let requests = streams(batch, 10).map(|id| {
            let block = if id == 1 { &first } else { &again };
            frame(HEADERS, END_STREAM | END_HEADERS, id, block)
        });
        requests.collect::<Vec<_>>().concat()
    };
    let (end, _) = flood(client, true, 100, batch).await;
    assert_ne!(end, End::HeldUp);
    siege.held().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_about_requests_ends_the_connection_when_it_is_too_much() {
    let siege = Siege::of(silent().await).await;
    let floods: [(&str, Vec<u8>); 6] = [
        ("settings", frame(SETTINGS, 0, 0, &setting(4, 65_535))),
        ("empty settings", frame(SETTINGS, 0, 0, &[])),
        ("pings", frame(PING, 0, 0, &[7; 8])),
        ("answers to pings", frame(PING, ACK, 0, &[7; 8])),
        ("priorities", frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1])),
        ("frames of no known kind", frame(0xbb, 0, 0, &[0; 100])),
    ];
    for (what, one) in floods {
        for reads in [true, false] {
            let client = RawClient::connect(siege.http, &[]).await;
            let (end, _) = flood(client, reads, 20_000, |_| one.repeat(500)).await;
            assert!(end == End::Closed || (end == End::HeldUp && !reads), "{what}: {end:?}");
            assert!(memory_kib(siege.pid) < siege.before + MEMORY_KIB, "{what}");
        }
    }
    siege.held().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_nobody_takes_end_the_connection() {
    let siege = Siege::of(silent().await).await;
    let post = [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/")];
    for (what, payload) in [("nothing", &b""[..]), ("one byte", b"x"), ("much", &[b'x'; 8000])] {
        let mut client = RawClient::connect(siege.http, &[]).await;
        client.send(headers(1, 0, &post)).await;
        let (end, _) = flood(client, true, 400, |_| frame(DATA, 0, 1, payload).repeat(100)).await;
        assert_eq!(end, End::Closed, "{what}");
    }
    siege.held().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_taken_byte_by_byte_need_little_memory() {
    let siege = Siege::of(endless().await).await;
    let mut all = Vec::new();
    for window in [0, 1, 1, 16_384] {
        let mut client = RawClient::connect(siege.http, &setting(4, window)).await;
        for id in streams(0, 100) {
            assert!(client.send(get(id)).await);
        }
        for _ in 0..100 {
            assert!(client.next_of(HEADERS).await.is_some());
        }
        all.push(client);
    }
    siege.held().await;
}

#[tokio::test]
async fn answers_that_are_not_taken_are_given_up_and_others_of_the_connection_go_on() {
    let timeouts = Timeouts { client: Duration::from_millis(300), ..patient() };
    let here = here_with(timeouts, Limits::default()).await;
    here.route(&[("a", endless().await), ("b", named("b").await)]).await;
    for window in [0, 1] {
        let mut client = RawClient::connect(here.http, &setting(4, window)).await;
        for id in streams(0, 10) {
            assert!(client.send(get(id)).await);
        }
        for _ in 0..10 {
            assert!(client.next_of(RST_STREAM).await.is_some());
        }
        assert_eq!(here.client.drain("a-1", PATIENCE).await.unwrap().left, 0);
        let open = frame(WINDOW_UPDATE, 0, 101, &1000u32.to_be_bytes());
        let b = [(":method", "GET"), (":scheme", "http"), (":authority", "b"), (":path", "/")];
        assert!(client.send([headers(101, END_STREAM, &b), open].concat()).await);
        let mut body = Vec::new();
        while body != b"b " {
            body.extend(client.next_of(DATA).await.unwrap().payload);
        }
    }
}

/// The half and the ninety-ninth hundredth of the times that somebody else's requests take.
async fn times_of_others(http: SocketAddr) -> (Duration, Duration) {
    let mut times = Vec::new();
    for _ in 0..500 {
        let began = Instant::now();
        let answer = exchange(http, "GET / HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n").await;
        assert!(answer.ends_with("b "), "{answer:?}");
        times.push(began.elapsed());
    }
    times.sort();
    (times[250], times[495])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, which is worth something on a quiet machine only; run by `make soak`"]
async fn others_beside_attackers_who_always_come_back() {
    let siege = Siege::of(silent().await).await;
    siege.is_over.store(true, Ordering::SeqCst);
    let attacks: [(&str, Fault); 4] = [
        ("nobody", |_| Vec::new()),
        ("requests reset at once", |id| [get(id), reset(id)].concat()),
        ("pings", |_| frame(PING, 0, 0, &[7; 8]).repeat(20)),
        ("settings", |_| frame(SETTINGS, 0, 0, &setting(4, 65_535)).repeat(20)),
    ];
    for (what, attack) in attacks {
        let http = siege.http;
        let is_over = Arc::new(AtomicBool::new(false));
        // On a thread of its own, so that the measured client does not wait for it.
        let attacker = std::thread::spawn({
            let is_over = is_over.clone();
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    while !is_over.load(Ordering::SeqCst) {
                        let client = RawClient::connect(http, &[]).await;
                        let batch = |batch| streams(batch, 50).flat_map(attack).collect();
                        flood(client, true, 2000, batch).await;
                    }
                });
            }
        });
        let (half, most) = times_of_others(http).await;
        is_over.store(true, Ordering::SeqCst);
        attacker.join().unwrap();
        let line = format!("beside {what}: half within {half:?}, 99 of 100 within {most:?}\n");
        std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
        assert!(most < Duration::from_secs(2), "{what}: {most:?}");
    }
    assert!(status_kib(siege.pid, "VmHWM") < siege.before + MEMORY_KIB);
}
