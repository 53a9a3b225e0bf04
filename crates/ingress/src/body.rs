//! Bodies under way. Nothing is gathered: each piece is passed on as it comes.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::routing::Assigned;

/// What a client sends. Trailers pass only to a backend that speaks HTTP/2, which keeps them apart from the head; to
/// one of HTTP/1 a client could say again in them what its head must not.
pub(crate) struct RequestBody {
    /// `None` for a request without a body, which can be sent twice.
    incoming: Option<Incoming>,
    upload: Arc<Upload>,
    passes_trailers: bool,
}

/// How far a request's body got, for who waits for the answer.
pub(crate) struct Upload {
    moved: Mutex<Instant>,
    done: AtomicBool,
    failed: AtomicBool,
    waits_for_client: AtomicBool,
}

impl Upload {
    /// When the last piece passed.
    pub(crate) fn last_moved(&self) -> Instant {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the client is the one that everybody waits for.
    pub(crate) fn waits_for_client(&self) -> bool {
        !self.done.load(Ordering::Relaxed) && self.waits_for_client.load(Ordering::Relaxed)
    }

    /// Whether the client's body broke off or was malformed.
    pub(crate) fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    fn record(&self, done: bool) {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.done.store(done, Ordering::Relaxed);
        self.waits_for_client.store(false, Ordering::Relaxed);
    }
}

impl RequestBody {
    pub(crate) fn new(incoming: Option<Incoming>) -> Self {
        let upload = Upload {
            moved: Mutex::new(Instant::now()),
            done: AtomicBool::new(incoming.is_none()),
            failed: AtomicBool::new(false),
            waits_for_client: AtomicBool::new(false),
        };
        Self { incoming, upload: Arc::new(upload), passes_trailers: false }
    }

    pub(crate) fn with_trailers(self) -> Self {
        Self { passes_trailers: true, ..self }
    }

    pub(crate) fn upload(&self) -> Arc<Upload> {
        self.upload.clone()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let Poll::Ready(frame) = Pin::new(incoming).poll_frame(cx) else {
            self.upload.waits_for_client.store(true, Ordering::Relaxed);
            return Poll::Pending;
        };
        let is_data = matches!(&frame, Some(Ok(frame)) if frame.is_data());
        self.upload.record(!is_data);
        match frame {
            Some(Err(error)) => {
                self.upload.failed.store(true, Ordering::Relaxed);
                Poll::Ready(Some(Err(error)))
            }
            Some(Ok(frame)) if is_data || self.passes_trailers => Poll::Ready(Some(Ok(frame))),
            _ => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// What an application answers. The request is in flight until it is gone.
pub(crate) struct AnswerBody {
    incoming: Incoming,
    _in_flight: Assigned,
}

impl AnswerBody {
    pub(crate) fn new(incoming: Incoming, in_flight: Assigned) -> Self {
        Self { incoming, _in_flight: in_flight }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Poll::Ready(ready!(Pin::new(&mut self.incoming).poll_frame(cx)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
