//! One request: from its host to a container and back.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use http_body_util::{Either, Full};
use hyper::body::{Body, Incoming};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::{self, Reason};
use crate::body::{AnswerBody, InFlight, RequestBody};
use crate::complaints::Complaints;
use crate::forward::{Failed, Forwarder};
use crate::headers::{self, Origin};
use crate::host::{self, Host};
use crate::limits::Limits;
use crate::places::{Place, Places};
use crate::pool::Lease;
use crate::routing::{Assigned, Router};
use crate::table::{Backend, BackendProtocol, RouteTable};
use crate::timeouts::Timeouts;
use crate::tunnel;

/// Carries the token of a candidate. No application ever sees it.
pub(crate) const CANDIDATE_HEADER: &str = "darsena-candidate";

/// Instances that a request is tried with, and how long.
const MAX_TRIED: usize = 3;
const MAX_TRYING: Duration = Duration::from_secs(10);

/// Bytes of a path in the log.
const MAX_LOGGED_PATH: usize = 200;

type Answer = Response<Either<Full<Bytes>, AnswerBody>>;

/// What all connections share.
pub(crate) struct Proxy {
    pub places: Arc<Places>,
    pub router: Router,
    pub forwarder: Forwarder,
    pub timeouts: Timeouts,
    complaints: Complaints,
    /// Connections and tunnels, to be waited for at the end.
    pub tasks: TaskTracker,
    /// Cancelled once another ingress took over: each connection of HTTP/1 is good for one more answer.
    pub leaving: CancellationToken,
}

/// The client's connection that a request came on.
pub(crate) struct Connection {
    pub origin: Origin,
    pub place: Arc<Place>,
    /// Set when it stops speaking HTTP.
    pub is_tunnel: Arc<AtomicBool>,
    /// Bytes of applications' answers that went out.
    pub delivered: Arc<AtomicU64>,
}

impl Proxy {
    pub(crate) fn new(timeouts: Timeouts, limits: Limits) -> Self {
        Self {
            places: Places::new(limits),
            router: Router::new(limits.to_backends),
            forwarder: Forwarder::new(timeouts, limits),
            timeouts,
            complaints: Complaints::default(),
            tasks: TaskTracker::new(),
            leaving: CancellationToken::new(),
        }
    }

    /// Puts a table in force.
    pub(crate) fn publish(&self, table: RouteTable) {
        self.forwarder.follow(&table);
        self.router.publish(table);
    }

    /// Answers a request: with the application's answer, or with a page that says why there is none.
    pub(crate) async fn handle(&self, connection: &Connection, request: Request<Incoming>) -> Answer {
        let version = request.version();
        let mut response = self.answer(connection, request).await;
        let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if self.leaving.is_cancelled() && version != Version::HTTP_2 && !switches {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Notes that a client was not let in.
    pub(crate) fn complain_of_crowd(&self, reason: Reason, client: IpAddr) {
        if let Some(silent) = self.complaints.admit() {
            tracing::warn!(%reason, %client, silent, "a connection was refused");
        }
    }

    async fn answer(&self, connection: &Connection, request: Request<Incoming>) -> Answer {
        let wants_html = answer::wants_html(request.headers());
        let version = request.version();
        let reason = match self.pass(connection, request).await {
            Ok(response) => return response,
            Err(reason) => reason,
        };
        let mut response = answer::page(reason, wants_html);
        let is_broken = matches!(reason, Reason::BadRequest | Reason::RequestTimeout | Reason::Expectation);
        if is_broken && version != Version::HTTP_2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response.map(Either::Left)
    }

    async fn pass(&self, connection: &Connection, mut request: Request<Incoming>) -> Result<Answer, Reason> {
        let busy = connection.place.busy()?;
        let client = hyper::upgrade::on(&mut request);
        let (mut parts, body) = request.into_parts();
        let host = host::host_of(&parts)?;
        if !headers::expects_what_we_do(&parts.headers) {
            return Err(Reason::Expectation);
        }
        let (assigned, others) = match candidate_token(&parts.headers)? {
            Some(token) => (self.router.assign_candidate(token)?, None),
            None => (self.router.assign(&host.name)?, Some(host.name.clone())),
        };

        let body = RequestBody::new((!body.is_end_stream()).then_some(body));
        let is_http1 = assigned.backend.protocol == BackendProtocol::Http1;
        let upgrade = headers::wanted_upgrade(&parts).filter(|_| is_http1 && body.is_end_stream());
        headers::prepare_request(
            &mut parts,
            &host,
            connection.origin,
            is_http1 && !body.is_end_stream(),
            upgrade.as_ref(),
        );
        let request = match is_http1 {
            true => outgoing(parts, body),
            false => outgoing_http2(parts, body, &host)?,
        };

        let Sent { mut response, assigned, lease } = self.send(assigned, others.as_deref(), request).await?;
        // The version is one of a connection, not of an answer: the client's is kept, and an end is told from a break.
        *response.version_mut() = Version::HTTP_11;
        let in_flight = InFlight { _assigned: assigned, _busy: busy, _lease: lease };
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            headers::prepare_response(response.headers_mut(), false);
            let delivered = connection.delivered.clone();
            return Ok(response.map(|body| Either::Right(AnswerBody::new(body, delivered, in_flight))));
        }
        match upgrade {
            Some(_) => Ok(self.tunnel(connection, client, response, in_flight)),
            None => Err(Reason::BadAnswer),
        }
    }

    /// Sends the request to its backend. One that could not be reached costs the client nothing as long as the host
    /// (`others`) has another instance, within the bounds of [`may_try_another`].
    async fn send(
        &self,
        mut assigned: Assigned,
        others: Option<&str>,
        mut request: Request<RequestBody>,
    ) -> Result<Sent, Reason> {
        let (began, mut tried) = (Instant::now(), Vec::new());
        loop {
            let (method, path) = (request.method().clone(), shortened(request.uri().path()).to_owned());
            let Failed { reason, unsent } = match self.send_to(&assigned.backend, request).await {
                Ok((response, lease)) => return Ok(Sent { response, assigned, lease }),
                Err(failed) => failed,
            };
            let Backend { id, address, protocol } = &assigned.backend;
            let is_clients_fault = matches!(reason, Reason::BadRequest | Reason::RequestTimeout);
            if let Some(silent) = (!is_clients_fault).then(|| self.complaints.admit()).flatten() {
                tracing::warn!(%reason, %method, path, backend = id, %address, silent, "no answer");
            }
            tried.push(id.clone());
            if !may_try_another(reason, tried.len(), began.elapsed()) {
                return Err(reason);
            }
            let another = others.and_then(|host| self.router.assign_another(host, &tried));
            let another = another.filter(|another| another.backend.protocol == *protocol);
            let (Some(another), Some(unsent)) = (another, unsent) else { return Err(reason) };
            (assigned, request) = (another, unsent);
        }
    }

    async fn send_to(
        &self,
        backend: &Backend,
        request: Request<RequestBody>,
    ) -> Result<(Response<Incoming>, Option<Lease>), Failed> {
        match backend.protocol {
            BackendProtocol::Http1 => Ok((self.forwarder.send(backend, request).await?, None)),
            BackendProtocol::H2c => {
                let (response, lease) = self.forwarder.send_http2(backend, request).await?;
                Ok((response, Some(lease)))
            }
        }
    }

    /// Passes the 101 on and, once both sides have changed their protocol, copies bytes both ways.
    fn tunnel(
        &self,
        connection: &Connection,
        client: OnUpgrade,
        mut response: Response<Incoming>,
        in_flight: InFlight,
    ) -> Answer {
        let application = hyper::upgrade::on(&mut response);
        connection.is_tunnel.store(true, Ordering::Release);
        self.tasks.spawn(async move {
            let _in_flight = in_flight;
            let (Ok(client), Ok(application)) = tokio::join!(client, application) else { return };
            // How it ends is between the two.
            let (client, application) = (TokioIo::new(client), TokioIo::new(application));
            let _ = tunnel::run(client, application, tunnel::PATIENCE).await;
        });
        headers::prepare_response(response.headers_mut(), true);
        response.map(|_| Either::Left(Full::default()))
    }
}

/// Whether a request that was not sent goes to another instance. When we have no connection to give there is none for
/// another instance either. And a client is not kept waiting for one timeout after the other.
fn may_try_another(reason: Reason, tried: usize, waited: Duration) -> bool {
    reason != Reason::Busy && tried < MAX_TRIED && waited < MAX_TRYING
}

/// The head of an answer, and who gives it.
struct Sent {
    response: Response<Incoming>,
    assigned: Assigned,
    lease: Option<Lease>,
}

/// The request as it is written to a backend: HTTP/1.1, with path and query exactly as they came.
fn outgoing(mut parts: Parts, body: RequestBody) -> Request<RequestBody> {
    let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    parts.uri = Uri::from(path);
    parts.version = Version::HTTP_11;
    parts.extensions = http::Extensions::new();
    Request::from_parts(parts, body)
}

/// The request as it is written to a backend that speaks HTTP/2: the host is its `:authority`.
fn outgoing_http2(mut parts: Parts, body: RequestBody, host: &Host) -> Result<Request<RequestBody>, Reason> {
    let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let uri = Uri::builder().scheme("http").authority(host.received.as_str()).path_and_query(path).build();
    parts.uri = uri.map_err(|_| Reason::BadRequest)?;
    let is_stream = parts.version == Version::HTTP_2 && headers::is_grpc(&parts.headers);
    parts.headers.remove(header::HOST);
    parts.version = Version::HTTP_2;
    parts.extensions = http::Extensions::new();
    Ok(Request::from_parts(parts, body.of_http2(is_stream)))
}

/// As much of a path as a line of the log may bear: the rest is a client's to make up.
fn shortened(path: &str) -> &str {
    &path[..path.floor_char_boundary(MAX_LOGGED_PATH)]
}

fn candidate_token(headers: &HeaderMap) -> Result<Option<&str>, Reason> {
    let mut tokens = headers.get_all(CANDIDATE_HEADER).iter();
    match (tokens.next(), tokens.next()) {
        (None, _) => Ok(None),
        (Some(token), None) => token.to_str().map(Some).map_err(|_| Reason::UnknownCandidate),
        (Some(_), Some(_)) => Err(Reason::UnknownCandidate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_instance_is_tried_neither_without_end_nor_without_hope() {
        let soon = Duration::from_secs(1);
        for reason in [Reason::Refused, Reason::Unreachable, Reason::ConnectTimeout, Reason::Closed] {
            assert!(may_try_another(reason, 1, soon) && may_try_another(reason, 2, soon));
            assert!(!may_try_another(reason, 3, soon));
            assert!(!may_try_another(reason, 1, MAX_TRYING));
        }
        assert!(!may_try_another(Reason::Busy, 1, soon));
    }

    #[test]
    fn a_line_of_the_log_bears_the_start_of_a_path() {
        assert_eq!(shortened("/cart"), "/cart");
        let long = format!("/{}", "é".repeat(10_000));
        assert_eq!(shortened(&long).len(), MAX_LOGGED_PATH - 1, "a letter is not cut in two");
        assert!(long.starts_with(shortened(&long)));
    }
}
