//! Bodies under way. Nothing is gathered: each piece is passed on as it comes.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::delivery::Delivery;
use crate::pace::Pace;
use crate::places::Busy;
use crate::pool::Lease;
use crate::routing::Assigned;
use crate::timeouts::Timeouts;

/// What a client sends. Trailers pass only to a backend that speaks HTTP/2, which keeps them apart from the head; to
/// one of HTTP/1 a client could say again in them what its head must not.
pub(crate) struct RequestBody {
    /// `None` for a request without a body, which can be sent twice.
    incoming: Option<Incoming>,
    upload: Arc<Upload>,
    passes_trailers: bool,
}

/// How far a request's body got, for who waits for the answer.
pub(crate) struct Upload(Mutex<State>);

struct State {
    /// When the last piece passed.
    moved: Instant,
    pace: Pace,
    is_done: bool,
    has_failed: bool,
    /// Of messages, which come when they come.
    is_stream: bool,
}

impl Upload {
    fn new(is_done: bool) -> Self {
        let (moved, pace) = (Instant::now(), Pace::default());
        Self(Mutex::new(State { moved, pace, is_done, has_failed: false, is_stream: false }))
    }

    /// Whether the answer was waited for long enough: the application has its time from the last piece on, the client
    /// as [`Pace`] says. Both sides of a stream of gRPC may be silent as long as they like.
    pub(crate) fn is_overdue(&self, timeouts: &Timeouts) -> bool {
        self.due(timeouts).is_some_and(|due| due <= Instant::now())
    }

    /// When that will be, if nothing happens.
    pub(crate) fn due(&self, timeouts: &Timeouts) -> Option<Instant> {
        let state = self.state();
        match state.pace.ends(timeouts.client) {
            Some(_) if state.is_stream => None,
            Some(due) => Some(due),
            None => Some(state.moved + timeouts.answer),
        }
    }

    /// Whether the client is the one that everybody waits for.
    pub(crate) fn waits_for_client(&self) -> bool {
        self.state().pace.ends(Duration::ZERO).is_some()
    }

    /// Whether the client's body broke off or was malformed.
    pub(crate) fn failed(&self) -> bool {
        self.state().has_failed
    }

    /// Whether all of the body was passed on.
    pub(crate) fn is_done(&self) -> bool {
        self.state().is_done
    }

    fn waits(&self) {
        let mut state = self.state();
        if !state.is_done {
            state.pace.waits(Instant::now());
        }
    }

    fn passed<E>(&self, frame: &Option<Result<Frame<Bytes>, E>>, is_last: bool) {
        let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        let mut state = self.state();
        state.moved = Instant::now();
        let now = state.moved;
        state.pace.moved(now, data.map_or(0, Bytes::len));
        state.is_done = data.is_none() || is_last;
        state.has_failed |= matches!(frame, Some(Err(_)));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RequestBody {
    pub(crate) fn new(incoming: Option<Incoming>) -> Self {
        let upload = Arc::new(Upload::new(incoming.is_none()));
        Self { incoming, upload, passes_trailers: false }
    }

    /// For a backend that speaks HTTP/2. Only of a stream the client may be silent, see [`Upload::is_overdue`].
    pub(crate) fn of_http2(self, is_stream: bool) -> Self {
        self.upload.state().is_stream = is_stream;
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
        let Poll::Ready(frame) = Pin::new(&mut *incoming).poll_frame(cx) else {
            self.upload.waits();
            return Poll::Pending;
        };
        let is_last = incoming.is_end_stream();
        self.upload.passed(&frame, is_last);
        match frame {
            Some(Ok(frame)) if frame.is_data() || self.passes_trailers => Poll::Ready(Some(Ok(frame))),
            Some(Ok(_)) => Poll::Ready(None),
            end => Poll::Ready(end),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// What a request holds until it is over.
pub(crate) struct InFlight {
    pub _assigned: Assigned,
    pub _busy: Busy,
    /// Of a connection that several requests share.
    pub _lease: Option<Lease>,
}

/// What an application answers. The request is in flight until it is gone.
pub(crate) struct AnswerBody {
    incoming: Incoming,
    delivery: Option<Arc<Delivery>>,
    /// Of the client's connection.
    delivered: Arc<AtomicU64>,
    _in_flight: InFlight,
}

impl AnswerBody {
    pub(crate) fn new(incoming: Incoming, delivered: Arc<AtomicU64>, in_flight: InFlight) -> Self {
        Self { incoming, delivery: Delivery::begin(), delivered, _in_flight: in_flight }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        if let Some(delivery) = &self.delivery {
            delivery.end();
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        if let Some(delivery) = &this.delivery {
            delivery.asked();
        }
        let frame = ready!(Pin::new(&mut this.incoming).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            this.delivered.fetch_add(bytes as u64, Ordering::Relaxed);
            if let Some(delivery) = &this.delivery {
                delivery.given(bytes);
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
