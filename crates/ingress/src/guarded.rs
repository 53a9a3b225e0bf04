//! A client's connection as hyper gets to see it: with [`Framing`] in front.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use crate::framing::{Framing, Step};
use crate::meter::Meter;

/// How HTTP/2 begins when both sides know that they speak it (RFC 9113, 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What hyper gets in place of a head that is refused: no request, so it answers 400 and closes.
const NO_REQUEST: &[u8] = b"\0\r\n\r\n";

/// How long the rest of a request is still taken after the connection was closed for it.
const LINGER: Duration = Duration::from_secs(2);

/// Which protocol a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// The connection. In HTTP/1 a head is held back until it is whole and unambiguous.
pub(crate) struct Guarded {
    stream: TcpStream,
    /// What the client sent and hyper has not read yet.
    waiting: BytesMut,
    /// So many bytes of them may be read.
    released: usize,
    framing: Framing,
    /// HTTP/2, or no longer HTTP: bytes pass unread.
    is_tunnel: Arc<AtomicBool>,
    head_timeout: Duration,
    /// Runs while a head is incomplete.
    head_timer: Option<Pin<Box<Sleep>>>,
    was_refused: bool,
    /// Runs once our side is closed while the client still sends.
    linger: Option<Pin<Box<Sleep>>>,
    /// For HTTP/2.
    meter: Option<(Meter, Instant)>,
    delivered: Arc<AtomicU64>,
}

impl Guarded {
    /// Waits for the first bytes. `None`: the client sent none in time.
    pub(crate) async fn accept(mut stream: TcpStream, head_timeout: Duration) -> Option<(Self, Protocol)> {
        let mut waiting = BytesMut::new();
        let sniffed = tokio::time::timeout(head_timeout, sniff(&mut stream, &mut waiting)).await;
        let protocol = sniffed.ok()?.ok()??;
        let guarded = Self {
            stream,
            waiting,
            released: 0,
            framing: Framing::new(),
            is_tunnel: Arc::new(AtomicBool::new(protocol == Protocol::Http2)),
            head_timeout,
            head_timer: None,
            was_refused: false,
            linger: None,
            meter: (protocol == Protocol::Http2).then(|| (Meter::new(), Instant::now())),
            delivered: Arc::default(),
        };
        Some((guarded, protocol))
    }

    /// To be set when the connection stops speaking HTTP/1.
    pub(crate) fn is_tunnel(&self) -> Arc<AtomicBool> {
        self.is_tunnel.clone()
    }

    /// To be told how many bytes of answers the client gets.
    pub(crate) fn delivered(&self) -> Arc<AtomicU64> {
        self.delivered.clone()
    }

    /// Reads what is no HTTP/1.
    fn poll_tunnel(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        if self.waiting.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(cx, out))?;
        } else {
            self.give(self.waiting.len(), out);
        }
        if let Some((meter, began)) = &mut self.meter {
            meter.follow(&out.filled()[before..]);
            if meter.is_flooded(began.elapsed(), self.delivered.load(Ordering::Relaxed)) {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "a flood of frames")));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Hands out what waits, `count` bytes at most.
    fn give(&mut self, count: usize, out: &mut ReadBuf<'_>) -> usize {
        let count = count.min(out.remaining());
        out.put_slice(&self.waiting[..count]);
        self.waiting.advance(count);
        count
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut buffer = [std::mem::MaybeUninit::uninit(); 16 << 10];
        let mut buffer = ReadBuf::uninit(&mut buffer);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        self.waiting.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Whether the client may still be sending what nobody will read.
    fn is_mid_request(&self) -> bool {
        let is_http1 = !self.is_tunnel.load(Ordering::Acquire);
        is_http1 && (self.was_refused || self.framing.is_in_body() || !self.waiting.is_empty())
    }

    /// Whether a head has been incomplete for too long.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> bool {
        if self.framing.is_in_body() || self.waiting.is_empty() {
            self.head_timer = None;
            return false;
        }
        let due = Instant::now() + self.head_timeout;
        let timer = self.head_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        timer.as_mut().poll(cx).is_ready()
    }
}

/// Reads until it is clear which protocol the client speaks. `None`: it hung up before.
async fn sniff(stream: &mut TcpStream, waiting: &mut BytesMut) -> io::Result<Option<Protocol>> {
    loop {
        if stream.read_buf(waiting).await? == 0 {
            return Ok(None);
        }
        let compared = waiting.len().min(HTTP2_PREFACE.len());
        if waiting[..compared] != HTTP2_PREFACE[..compared] {
            return Ok(Some(Protocol::Http1));
        }
        if compared == HTTP2_PREFACE.len() {
            return Ok(Some(Protocol::Http2));
        }
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.is_tunnel.load(Ordering::Acquire) {
                return this.poll_tunnel(cx, out);
            }
            if this.released > 0 {
                this.released -= this.give(this.released, out);
                return Poll::Ready(Ok(()));
            }
            if this.was_refused {
                return Poll::Ready(Ok(()));
            }
            match this.framing.step(&this.waiting) {
                Step::Release(count) => this.released = count,
                Step::Refuse if this.framing.is_in_body() => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "malformed body")));
                }
                Step::Refuse => {
                    this.was_refused = true;
                    this.waiting = BytesMut::from(NO_REQUEST);
                    this.released = NO_REQUEST.len();
                }
                Step::Wait => {
                    if this.poll_late(cx) {
                        return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                    }
                    if ready!(this.poll_more(cx))? == 0 {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }
}

impl AsyncWrite for Guarded {
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

    /// To close while the client still sends would reset the connection, and the answer that it has not read
    /// yet would be lost with it. So the rest is taken and thrown away for a moment.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            if !this.is_mid_request() {
                return Poll::Ready(Ok(()));
            }
        }
        let linger = this.linger.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        if linger.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        loop {
            this.waiting.clear();
            match ready!(this.poll_more(cx)) {
                Ok(0) | Err(_) => return Poll::Ready(Ok(())),
                Ok(_) => {}
            }
        }
    }
}
