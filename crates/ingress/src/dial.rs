//! Fresh connections to backends, no more of them than the process has files for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::answer::Reason;
use crate::body::RequestBody;
use crate::pool::{MAX_SHARING, Pool};
use crate::table::Backend;

/// A backend that is silent for so long while something is under way is asked whether it is there.
const HTTP2_PING: Duration = Duration::from_secs(20);

/// The same by TCP for what is silent in any protocol.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);

/// What a backend of HTTP/2 may send ahead of what clients take: for each answer, and for all of a connection. The latter
/// is enough for all who share it, so that slow clients do not hold up the others' answers.
const ANSWER_WINDOW: u32 = 32 << 10;
const CONNECTION_WINDOW: u32 = ANSWER_WINDOW * MAX_SHARING as u32;

const MAX_ANSWER_FIELDS: usize = 200;
const MAX_ANSWER_HEAD: usize = 128 << 10;

/// Connects to backends.
pub(crate) struct Dialler {
    /// One for each connection there may be.
    permits: Arc<Semaphore>,
    within: Duration,
}

impl Dialler {
    /// At most `most` connections at a time; each attempt may take `within`.
    pub(crate) fn new(most: usize, within: Duration) -> Self {
        Self { permits: Arc::new(Semaphore::new(most)), within }
    }

    pub(crate) async fn http1(
        &self,
        backend: &Backend,
        pool: &Pool,
    ) -> Result<http1::SendRequest<RequestBody>, Reason> {
        let stream = self.stream(backend, pool).await?;
        let (sender, connection) = http1::Builder::new()
            .max_headers(MAX_ANSWER_FIELDS)
            .max_buf_size(MAX_ANSWER_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|_| Reason::Closed)?;
        // Its errors reach the request that they concern; an idle connection's end concerns nobody.
        tokio::spawn(connection.with_upgrades());
        Ok(sender)
    }

    /// To a backend that speaks HTTP/2.
    pub(crate) async fn http2(
        &self,
        backend: &Backend,
        pool: &Pool,
    ) -> Result<http2::SendRequest<RequestBody>, Reason> {
        let stream = self.stream(backend, pool).await?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_header_list_size(MAX_ANSWER_HEAD as u32)
            .initial_stream_window_size(ANSWER_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(HTTP2_PING)
            .keep_alive_timeout(HTTP2_PING)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|_| Reason::Closed)?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn stream(&self, backend: &Backend, pool: &Pool) -> Result<Counted, Reason> {
        let permit = self.permit(pool).await?;
        let stream = match tokio::time::timeout(self.within, TcpStream::connect(backend.address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return Err(Reason::Refused);
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => return Err(Reason::ConnectTimeout),
            Ok(Err(_)) => return Err(Reason::Unreachable),
            Err(_) => return Err(Reason::ConnectTimeout),
        };
        prepare(&stream).map_err(|_| Reason::Unreachable)?;
        Ok(Counted { stream, _permit: permit })
    }

    /// When all are in use, connections that are merely kept make room.
    async fn permit(&self, pool: &Pool) -> Result<OwnedSemaphorePermit, Reason> {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Ok(permit);
        }
        pool.close_idle();
        match tokio::time::timeout(self.within, self.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Reason::Busy),
        }
    }
}

/// Small pieces of a stream do not wait for each other, and a container that vanished is noticed on a silent tunnel too.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    rustix::net::sockopt::set_socket_keepalive(stream, true)?;
    rustix::net::sockopt::set_tcp_keepidle(stream, KEEPALIVE_AFTER)?;
    Ok(rustix::net::sockopt::set_tcp_keepintvl(stream, KEEPALIVE_EVERY)?)
}

/// A connection to a backend, which counts until it is closed, as a tunnel too.
struct Counted {
    stream: TcpStream,
    _permit: OwnedSemaphorePermit,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, out)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
