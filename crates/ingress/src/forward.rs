//! A request to a backend and its answer's head: on a kept connection when there is one, with one more try on a
//! fresh connection when that is safe.

use std::sync::Arc;
use std::time::Instant;

use http::{Method, Request, Response};
use hyper::body::{Body, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::SendRequest;

use crate::answer::Reason;
use crate::body::{RequestBody, Upload};
use crate::dial::Dialler;
use crate::headers;
use crate::limits::Limits;
use crate::pool::{Lease, Pool};
use crate::table::{Backend, RouteTable};
use crate::timeouts::Timeouts;

/// The way to all backends.
pub(crate) struct Forwarder {
    pool: Arc<Pool>,
    dialler: Dialler,
    timeouts: Timeouts,
}

/// An attempt that brought no answer.
pub(crate) struct Failed {
    pub reason: Reason,
    /// The request, when nothing of it was sent, or nothing that counts.
    pub unsent: Option<Request<RequestBody>>,
}

/// Whether a backend of HTTP/2 says of a request that it did nothing for it.
fn was_not_processed(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| {
        // A stream ends with the GOAWAY itself only when it is beyond the last one that was processed.
        cause.is_remote() && (cause.is_go_away() || cause.reason() == Some(h2::Reason::REFUSED_STREAM))
    })
}

impl Forwarder {
    pub(crate) fn new(timeouts: Timeouts, limits: Limits) -> Self {
        let dialler = Dialler::new(limits.to_backends, timeouts.connect);
        Self { pool: Arc::default(), dialler, timeouts }
    }

    /// Sends a request.
    ///
    /// A backend may close a kept connection at the moment when it is used. Then a request of which nothing was
    /// sent goes out again, and so does one that is safe to repeat (RFC 9110, 9.2.2) and has no body. Never
    /// more than once, and never after a fresh connection failed.
    pub(crate) async fn send(
        &self,
        backend: &Backend,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Failed> {
        let repeatable = is_repeatable(&request);
        let (mut request, mut was_sent) = (request, false);
        if let Some(kept) = self.pool.take(&backend.id, !repeatable) {
            let copy = repeatable.then(|| copy_of(&request));
            let failed = match self.attempt(backend, kept, request).await {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            let Failed { reason, unsent } = failed;
            was_sent = unsent.is_none();
            let again = unsent.or(copy.filter(|_| reason == Reason::Closed));
            request = again.ok_or(Failed { reason, unsent: None })?;
        }
        let answer = match self.dialler.http1(backend, &self.pool).await {
            Ok(fresh) => self.attempt(backend, fresh, request).await,
            Err(reason) => Err(Failed { reason, unsent: Some(request) }),
        };
        // A request that may have brought this instance down must not go on to bring down the others.
        answer.map_err(|failed| Failed { unsent: failed.unsent.filter(|_| !was_sent), ..failed })
    }

    /// Sends a request to a backend that speaks HTTP/2. One that a shared connection did not take any more goes out
    /// on a fresh one. So does one without a body of which the backend says that it was not processed, and which is
    /// safe to repeat for that reason (RFC 9113, 8.7); once. The lease is to be kept until the answer is over.
    pub(crate) async fn send_http2(
        &self,
        backend: &Backend,
        request: Request<RequestBody>,
    ) -> Result<(Response<Incoming>, Lease), Failed> {
        let upload = request.body().upload();
        let mut copy = request.body().is_end_stream().then(|| copy_of(&request));
        let mut request = request;
        if let Some((mut shared, lease)) = self.pool.shared(&backend.id) {
            match self
                .answer(backend, &upload, repeatable(shared.try_send_request(request), copy.take()))
                .await
            {
                Ok(response) => return Ok((response, lease)),
                Err(Failed { unsent: Some(unsent), .. }) => request = unsent,
                Err(failed) => return Err(failed),
            }
        }
        let mut fresh = match self.dialler.http2(backend, &self.pool).await {
            Ok(fresh) => fresh,
            Err(reason) => return Err(Failed { reason, unsent: Some(request) }),
        };
        let lease = self.pool.share(&backend.id, &fresh);
        let answer = repeatable(fresh.try_send_request(request), copy);
        let answer = self.answer(backend, &upload, answer).await;
        answer.map(|response| (response, lease))
    }

    /// Closes kept connections to backends that the table no longer has.
    pub(crate) fn follow(&self, table: &RouteTable) {
        self.pool.follow(table);
    }

    /// Closes what was idle for too long.
    pub(crate) fn sweep(&self) {
        self.pool.sweep();
    }

    async fn attempt(
        &self,
        backend: &Backend,
        mut sender: SendRequest<RequestBody>,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Failed> {
        let upload = request.body().upload();
        let is_expected = request.body().is_end_stream() || !is_safe(request.method());
        let response =
            self.answer(backend, &upload, repeatable(sender.try_send_request(request), None)).await?;
        if !headers::has_one_length(response.headers()) {
            return Err(Failed { reason: Reason::BadAnswer, unsent: None });
        }
        // An application that did not expect a body, or answered before the end of it, may not read it, and take it for
        // the next request.
        if is_expected && upload.is_done() {
            self.keep(backend, sender);
        }
        Ok(response)
    }

    /// Waits for the head of an answer, as long as something moves.
    async fn answer(
        &self,
        backend: &Backend,
        upload: &Upload,
        answer: impl Future<Output = Result<Response<Incoming>, Unanswered>>,
    ) -> Result<Response<Incoming>, Failed> {
        let mut answer = std::pin::pin!(answer);
        let result = loop {
            // Who is waited for may change meanwhile, so it is looked at before that time is over, too.
            let look = Instant::now() + self.timeouts.answer.min(self.timeouts.client) / 8;
            let due = upload.due(&self.timeouts).map_or(look, |due| due.min(look));
            tokio::select! {
                biased;
                result = &mut answer => break result,
                () = tokio::time::sleep_until(due.into()) => {
                    if upload.is_overdue(&self.timeouts) {
                        return Err(Failed { reason: late(upload), unsent: None });
                    }
                }
            }
        };
        result.map_err(|(error, unsent)| {
            tracing::debug!(backend = backend.id, %error, "no answer");
            Failed { reason: reason(&error, upload), unsent }
        })
    }

    /// Keeps the connection once the exchange on it is over, which is when it can take another request. One
    /// that ends, breaks or changes its protocol never can.
    fn keep(&self, backend: &Backend, mut sender: SendRequest<RequestBody>) {
        let (pool, id) = (self.pool.clone(), backend.id.clone());
        tokio::spawn(async move {
            if sender.ready().await.is_ok() {
                pool.put(&id, sender);
            }
        });
    }
}

/// Why there is no answer; and the request, as in [`Failed::unsent`].
type Unanswered = (hyper::Error, Option<Request<RequestBody>>);

/// The answer to a request. One that was not processed is given back like one that was not sent, if there is a copy.
async fn repeatable(
    answer: impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>>,
    copy: Option<Request<RequestBody>>,
) -> Result<Response<Incoming>, Unanswered> {
    answer.await.map_err(|mut error| {
        let unsent = error.take_message();
        let error = error.into_error();
        let unsent = unsent.or_else(|| copy.filter(|_| was_not_processed(&error)));
        (error, unsent)
    })
}

fn is_repeatable(request: &Request<RequestBody>) -> bool {
    is_safe(request.method()) && request.body().is_end_stream()
}

fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(method)
}

fn copy_of(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::new(None));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    copy
}

fn late(upload: &Upload) -> Reason {
    match upload.waits_for_client() {
        true => Reason::RequestTimeout,
        false => Reason::AnswerTimeout,
    }
}

fn reason(error: &hyper::Error, upload: &Upload) -> Reason {
    match error.is_parse() {
        true => Reason::BadAnswer,
        false if upload.failed() => Reason::BadRequest,
        false => Reason::Closed,
    }
}
