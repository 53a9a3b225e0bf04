//! An ingress in this process, backends of all kinds, and clients that speak in bytes.

#![expect(dead_code, reason = "every test file is a program of its own and uses a part of this")]

pub mod frames;
pub mod place;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use ingress::{
    Backend, BackendProtocol, Client, Ingress, Launch, Limits, ProcessConfig, Route, RouteState, RouteTable,
    Timeouts,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a test may take at most before it counts as hanging.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it took too long")
}

/// An ingress and a client of its control socket.
pub struct Here {
    pub client: Client,
    pub http: SocketAddr,
    pub folder: tempfile::TempDir,
    pub ingress: Option<Ingress>,
    version: AtomicU64,
}

pub fn short() -> Timeouts {
    Timeouts {
        head: Duration::from_millis(300),
        idle: Duration::from_secs(5),
        connect: Duration::from_millis(300),
        answer: Duration::from_millis(500),
        client: Duration::from_millis(500),
        leave: Duration::from_secs(10),
        finish: Duration::from_secs(2),
    }
}

/// As long as a slow machine may take for what is not about time.
pub fn patient() -> Timeouts {
    Timeouts {
        head: PATIENCE,
        idle: PATIENCE,
        connect: PATIENCE,
        answer: PATIENCE,
        client: PATIENCE,
        ..short()
    }
}

pub async fn here() -> Here {
    here_with(patient(), Limits::default()).await
}

/// For what is about time.
pub async fn here_in_a_hurry() -> Here {
    here_with(short(), Limits::default()).await
}

pub async fn here_with(timeouts: Timeouts, limits: Limits) -> Here {
    let folder = tempfile::tempdir().unwrap();
    let config = ProcessConfig {
        http: "127.0.0.1:0".parse().unwrap(),
        control: folder.path().join("ingress.sock"),
        state: folder.path().join("state"),
    };
    let ingress = Ingress::start(config.clone(), timeouts, limits).await.unwrap();
    let http = ingress.hello().http;
    let launch = Launch { program: "/nonexistent".into(), args: Vec::new(), log: None };
    let client = Client::connect_or_spawn(launch, config).await.unwrap();
    Here { client, http, folder, ingress: Some(ingress), version: AtomicU64::new(0) }
}

impl Here {
    /// Publishes one backend for each host; the host's name is the backend's id with `-1` after it.
    pub async fn route(&self, routes: &[(&str, SocketAddr)]) {
        let route = |(host, address): &(&str, SocketAddr)| {
            (host.to_string(), serving(&format!("{host}-1"), *address))
        };
        self.publish(RouteTable { routes: routes.iter().map(route).collect(), ..RouteTable::default() })
            .await;
    }

    pub async fn publish(&self, mut table: RouteTable) {
        table.version = self.version.fetch_add(1, Ordering::SeqCst) + 1;
        self.client.publish(&table).await.unwrap();
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.http).await.unwrap()
    }

    /// Sends bytes on a connection of their own and gives everything that comes back.
    pub async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        exchange(self.http, bytes).await
    }

    /// GET with `Connection: close`.
    pub async fn get(&self, host: &str, path: &str) -> String {
        self.raw(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await
    }

    /// A client's connection that is kept for several requests.
    pub async fn keep_alive(&self) -> SendRequest<Full<Bytes>> {
        let stream = self.connect().await;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }
}

/// Sends bytes and reads until the other side closes, for good or by a reset.
pub async fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_ref()).await.unwrap();
    let mut answer = Vec::new();
    soon(async {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            answer.extend_from_slice(&buffer[..count]);
        }
    })
    .await;
    String::from_utf8_lossy(&answer).into_owned()
}

pub fn status(answer: &str) -> u16 {
    answer.get(9..12).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no status in {answer:?}"))
}

/// The value of `darsena-ingress`, when the ingress itself answered.
pub fn reason(answer: &str) -> Option<&str> {
    answer.lines().find_map(|line| line.strip_prefix("darsena-ingress: "))
}

pub fn serving(id: &str, address: SocketAddr) -> Route {
    route(RouteState::Serving, &[(id, address)])
}

pub fn route(state: RouteState, backends: &[(&str, SocketAddr)]) -> Route {
    let backend = |(id, address): &(&str, SocketAddr)| speaks_http1(id, *address);
    Route {
        app: "app".to_owned(),
        deployment: "deployment".to_owned(),
        backends: backends.iter().map(backend).collect(),
        state,
    }
}

pub fn speaks_http1(id: &str, address: SocketAddr) -> Backend {
    Backend { id: id.to_owned(), address, protocol: BackendProtocol::Http1 }
}

/// A backend of hyper that answers by a function.
pub async fn backend<F, A>(answer: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> A + Send + Sync + 'static,
    A: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let answer = Arc::new(answer);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            tokio::spawn(async move {
                let service = hyper::service::service_fn(move |request| {
                    let answered = answer(request);
                    async move { Ok::<_, Infallible>(answered.await) }
                });
                let serving = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                let _ = serving.await;
            });
        }
    });
    address
}

/// A backend that says its name and gives the query back.
pub async fn named(name: &'static str) -> SocketAddr {
    backend(move |request| async move {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let _ = request.into_body().collect().await;
        Response::new(Full::from(format!("{name} {query}")))
    })
    .await
}

/// A backend that does as a function says with each connection; it counts them.
pub async fn raw_backend<F, A>(act: F) -> (SocketAddr, Arc<AtomicU64>)
where
    F: Fn(TcpStream) -> A + Send + Sync + 'static,
    A: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicU64::new(0));
    let counted = connections.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(act(stream));
        }
    });
    (address, connections)
}

/// Reads one head, byte by byte, so that what follows stays in the stream.
pub async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// A backend that answers every head with the same bytes and then ends the connection.
pub async fn canned(bytes: impl Into<Vec<u8>>) -> SocketAddr {
    let bytes: Arc<Vec<u8>> = Arc::new(bytes.into());
    let act = move |mut stream: TcpStream| {
        let bytes = bytes.clone();
        async move {
            if !read_head(&mut stream).await.is_empty() {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        }
    };
    raw_backend(act).await.0
}

/// A strict recorder: everything it receives is written down, each head is answered with an empty 200.
pub async fn recorder() -> (SocketAddr, Arc<Mutex<String>>) {
    let record = Arc::new(Mutex::new(String::new()));
    let written = record.clone();
    let act = move |mut stream: TcpStream| {
        let written = written.clone();
        async move {
            loop {
                let head = read_head(&mut stream).await;
                written.lock().unwrap().push_str(&head);
                if head.is_empty()
                    || stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.is_err()
                {
                    return;
                }
            }
        }
    };
    (raw_backend(act).await.0, record)
}

/// A listener that accepts nothing and whose queue is full, so that a connection to it is neither taken nor refused.
/// The queue is full as long as the second part is kept.
pub async fn full_queue() -> (SocketAddr, (std::net::TcpListener, Vec<TcpStream>)) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(address)).await
    {
        waiting.push(stream.unwrap());
    }
    (address, (listener, waiting))
}

/// Resident memory of a process, in KiB.
pub fn memory_kib(process: u32) -> u64 {
    status_kib(process, "VmRSS")
}

/// A line of `/proc/PID/status`, in KiB.
pub fn status_kib(process: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

/// An address where nothing listens, nor will, unless somebody asks for this very one: the port is kept to the end of
/// the test process, so that the kernel gives it to nobody.
pub async fn nobody() -> SocketAddr {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    std::mem::forget(socket);
    address
}

/// Asks until it is so, or panics.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, asking).await.is_err() {
        panic!("it did not happen in time: {what}");
    }
}
