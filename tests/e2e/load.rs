//! People who use applications while a test does something to the platform: a steady number of requests a second,
//! of which each says who it is and each answer says which release gave it.
//!
//! Half of the requests come on connections of their own, at their times whether or not earlier ones were
//! answered; the others on kept ones, HTTP/1.1 and HTTP/2, one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper::header::{CONNECTION, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Kept connections: so many of HTTP/1.1 and so many of HTTP/2, which share half of the rate.
const KEPT_HTTP1: u32 = 6;
const KEPT_HTTP2: u32 = 2;
/// After this a request has failed.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
const NOT_CONNECTED: &str = "not connected";
/// Failures that are kept in words.
const WORDS_MAX: usize = 8;

/// Requests under way. Stop it to learn what came of them.
pub struct Load {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
    began: Instant,
}

/// What came of the requests.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub sent: u64,
    pub ok: u64,
    pub failed: u64,
    /// Of those that failed: connections that were not taken.
    pub refused: u64,
    /// Kept connections that were found closed when a request was sent on them; it was sent again then, as every
    /// HTTP client does.
    pub sent_again: u64,
    /// The first failures, in words.
    pub words: Vec<String>,
    pub took: Duration,
    pub slowest: Duration,
}

struct Shared {
    http: SocketAddr,
    hosts: Vec<String>,
    began: Instant,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    report: Report,
    releases: BTreeMap<String, BTreeSet<String>>,
}

impl Load {
    /// Begins to ask the applications of these names in turn, `per_second` times a second in all.
    pub fn start(http: SocketAddr, apps: &[&str], per_second: u32) -> Self {
        let hosts = apps.iter().map(|app| format!("{app}.localhost")).collect();
        let began = Instant::now();
        let shared = Arc::new(Shared { http, hosts, began, seen: Mutex::default() });
        let (stop, stopped) = watch::channel(false);
        let people = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(ask_until_stopped(people, per_second, stopped));
        });
        Self { shared, stop, thread, began }
    }

    /// The releases that answered for an application since this was asked last.
    pub fn releases(&self, app: &str) -> BTreeSet<String> {
        self.shared.seen().releases.remove(&format!("{app}.localhost")).unwrap_or_default()
    }

    /// What came of the requests so far.
    pub fn so_far(&self) -> Report {
        Report { took: self.began.elapsed(), ..self.shared.seen().report.clone() }
    }

    /// Waits for the requests under way and tells what came of all.
    pub fn stop(self) -> Report {
        let took = self.began.elapsed();
        let _ = self.stop.send(true);
        self.thread.join().expect("the load runs");
        Report { took, ..self.shared.seen().report.clone() }
    }
}

impl Report {
    /// Requests a second.
    pub fn rate(&self) -> f64 {
        self.sent as f64 / self.took.as_secs_f64()
    }

    /// Refuses a single failure.
    pub fn assert_flawless(&self) {
        assert!(self.ok > 0, "nobody asked: {self}");
        assert_eq!(self.failed, 0, "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests in {:.1} s ({:.0}/s), {} failed, {} sent again, slowest {} ms",
            self.sent,
            self.took.as_secs_f64(),
            self.rate(),
            self.failed,
            self.sent_again,
            self.slowest.as_millis()
        )?;
        self.words.iter().try_for_each(|words| write!(f, "\n  {words}"))
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    fn host(&self, number: u64) -> &str {
        &self.hosts[number as usize % self.hosts.len()]
    }

    fn request(&self, host: &str, path: &str, is_http2: bool) -> Request<Empty<Bytes>> {
        let request = match is_http2 {
            true => Request::get(format!("http://{host}{path}")),
            false => Request::get(path).header(HOST, host),
        };
        request.body(Empty::new()).unwrap()
    }

    /// Looks at an answer: right status, the path of its own request, the name of a release.
    async fn judge<B>(&self, host: &str, path: &str, answer: hyper::Result<Response<B>>) -> Result<(), String>
    where
        B: hyper::body::Body,
        B::Error: fmt::Display,
    {
        let (head, body) = answer.map_err(|error| format!("no answer: {error:?}"))?.into_parts();
        let body = body.collect().await.map_err(|error| format!("cut off: {error}"))?.to_bytes();
        let body = String::from_utf8_lossy(&body);
        if head.status != StatusCode::OK {
            return Err(format!("{} {:?} {}", head.status, head.headers, body.trim()));
        }
        if body.trim() != path {
            return Err(format!("the answer of another request: {}", body.trim()));
        }
        let release = head.headers.get("x-release").and_then(|release| release.to_str().ok());
        let release = release.ok_or("no release in the answer")?.to_owned();
        self.seen().releases.entry(host.to_owned()).or_default().insert(release);
        Ok(())
    }

    fn note(&self, kind: &str, path: &str, since: Instant, outcome: Result<(), String>) {
        let mut seen = self.seen();
        let report = &mut seen.report;
        report.sent += 1;
        report.slowest = report.slowest.max(since.elapsed());
        match outcome {
            Ok(()) => report.ok += 1,
            Err(words) => {
                report.failed += 1;
                report.refused += u64::from(words.starts_with(NOT_CONNECTED));
                if report.words.len() < WORDS_MAX {
                    let at = self.began.elapsed().as_secs_f64();
                    report.words.push(format!("after {at:.3} s, {kind}, {path}: {words}"));
                }
            }
        }
    }
}

async fn ask_until_stopped(shared: Arc<Shared>, per_second: u32, stopped: watch::Receiver<bool>) {
    let half = Duration::from_secs(1) * 2 / per_second;
    let mut people = tokio::task::JoinSet::new();
    people.spawn(ask_on_new_connections(Arc::clone(&shared), pace(half), stopped.clone()));
    for client in 0..KEPT_HTTP1 + KEPT_HTTP2 {
        let pace = pace(half * (KEPT_HTTP1 + KEPT_HTTP2));
        people.spawn(ask_on_a_kept_connection(Arc::clone(&shared), client, pace, stopped.clone()));
    }
    while let Some(person) = people.join_next().await {
        person.expect("a client does not break");
    }
}

/// Ticks that were missed are made up for, so that the rate is kept.
fn pace(period: Duration) -> Interval {
    let mut pace = interval(period);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    pace
}

async fn ask_on_new_connections(shared: Arc<Shared>, mut pace: Interval, stopped: watch::Receiver<bool>) {
    let mut under_way = tokio::task::JoinSet::new();
    let mut number = 0;
    while !*stopped.borrow() {
        pace.tick().await;
        let shared = Arc::clone(&shared);
        under_way.spawn(async move { ask_on_a_new_connection(&shared, number).await });
        number += 1;
        while under_way.try_join_next().is_some() {}
    }
    under_way.join_all().await;
}

async fn ask_on_a_new_connection(shared: &Shared, number: u64) {
    let (since, host, path) = (Instant::now(), shared.host(number), format!("/new-{number}"));
    let exchange = async {
        let stream =
            TcpStream::connect(shared.http).await.map_err(|error| format!("{NOT_CONNECTED}: {error}"))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| format!("no HTTP: {error}"))?;
        let connection = tokio::spawn(connection);
        let mut request = shared.request(host, &path, false);
        request.headers_mut().insert(CONNECTION, "close".parse().unwrap());
        let outcome = shared.judge(host, &path, sender.send_request(request).await).await;
        drop(sender);
        connection.abort();
        outcome
    };
    let outcome = within(exchange).await;
    shared.note("new connection", &path, since, outcome);
}

/// A kept connection of either protocol.
enum Kept {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl Kept {
    async fn open(http: SocketAddr, is_http2: bool) -> Result<Self, String> {
        let stream = TcpStream::connect(http).await.map_err(|error| format!("{NOT_CONNECTED}: {error}"))?;
        let io = TokioIo::new(stream);
        if is_http2 {
            let made = http2::handshake(TokioExecutor::new(), io).await;
            let (sender, connection) = made.map_err(|error| format!("no HTTP/2: {error}"))?;
            tokio::spawn(connection);
            Ok(Self::Http2(sender))
        } else {
            let (sender, connection) =
                http1::handshake(io).await.map_err(|error| format!("no HTTP: {error}"))?;
            tokio::spawn(connection);
            Ok(Self::Http1(sender))
        }
    }

    async fn is_open(&mut self) -> bool {
        match self {
            Self::Http1(sender) => sender.ready().await.is_ok(),
            Self::Http2(sender) => sender.ready().await.is_ok(),
        }
    }
}

async fn ask_on_a_kept_connection(
    shared: Arc<Shared>,
    client: u32,
    mut pace: Interval,
    stopped: watch::Receiver<bool>,
) {
    let is_http2 = client >= KEPT_HTTP1;
    let kind = if is_http2 { "kept HTTP/2 connection" } else { "kept connection" };
    let mut kept = None;
    let mut number = u64::from(client);
    while !*stopped.borrow() {
        pace.tick().await;
        let (since, host, path) = (Instant::now(), shared.host(number), format!("/kept-{client}-{number}"));
        let outcome = within(ask_on(&shared, &mut kept, is_http2, host, &path)).await;
        if outcome.is_err() {
            kept = None;
        }
        shared.note(kind, &path, since, outcome);
        number += 1;
    }
}

async fn ask_on(
    shared: &Shared,
    kept: &mut Option<Kept>,
    is_http2: bool,
    host: &str,
    path: &str,
) -> Result<(), String> {
    let mut is_reused = match kept {
        Some(open) => open.is_open().await,
        None => false,
    };
    loop {
        if !is_reused {
            *kept = Some(Kept::open(shared.http, is_http2).await?);
        }
        let request = shared.request(host, path, is_http2);
        let answer = match kept.as_mut().expect("it was just opened") {
            Kept::Http1(sender) => sender.send_request(request).await,
            Kept::Http2(sender) => sender.send_request(request).await,
        };
        match answer {
            // It was closed while the request was on its way: nobody has looked at it.
            Err(error) if is_reused && was_closed(&error) => {
                shared.seen().report.sent_again += 1;
                is_reused = false;
            }
            answer => return shared.judge(host, path, answer).await,
        }
    }
}

/// Of HTTP/2 also: the server's friendly good-bye crossed the request on its way, which is beyond the last one that
/// it takes (RFC 9113, section 6.8).
fn was_closed(error: &hyper::Error) -> bool {
    let good_bye = || format!("{error:?}").contains("GoAway(b\"\", NO_ERROR, Remote)");
    error.is_canceled() || error.is_closed() || error.is_incomplete_message() || good_bye()
}

async fn within(exchange: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let limit = tokio::time::timeout(ANSWER_WITHIN, exchange).await;
    limit.unwrap_or_else(|_| Err(format!("no answer within {} s", ANSWER_WITHIN.as_secs())))
}
