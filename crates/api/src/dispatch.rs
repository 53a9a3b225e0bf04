//! The way of every request: routed, identified, throttled, authorized, read, run, written down.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::audit::{self, Actor};
use crate::auth::{self, Caller};
use crate::call::{Answer, Call, PathIds, Query};
use crate::error::ApiError;
use crate::network::Network;
use crate::operation::{MIB, Needs, OPERATIONS, Operation};
use crate::permission::Scope;
use crate::seats::Seat;
use crate::serve::Peer;
use crate::state::ApiState;

/// A body of a few megabytes arrives in this time on any line.
const BODY_TIME: Duration = Duration::from_secs(10);
/// CLI and Terraform provider give up after 30 s; they shall get an answer before that.
const ANSWER_TIME: Duration = Duration::from_secs(28);

/// A hook is called in much less.
const SEAT_WAIT: Duration = Duration::from_secs(1);
/// How late. A connection has one request at a time, so it guesses no faster than that.
const WRONG_KEY_DELAY: Duration = Duration::from_secs(1);

/// The API under `/v3`, and under `/v3/v3` because some clients write the prefix twice. What is called with a secret of
/// its own is at the root too, as the API file has it.
pub fn router(state: ApiState) -> Router {
    let mut router = Router::new();
    for prefix in ["/v3", "/v3/v3", ""] {
        for operation in OPERATIONS.iter().filter(|row| !prefix.is_empty() || row.needs == Needs::Secret) {
            let path = format!("{prefix}{}", operation.path);
            let method =
                MethodFilter::try_from(operation.method.clone()).expect("the table has plain methods");
            let state = state.clone();
            let handler = move |params: Result<RawPathParams, RawPathParamsRejection>, request: Request| {
                answer(state.clone(), operation, params, request)
            };
            router = router.route(&path, on(method, handler));
        }
    }
    router
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(axum::middleware::map_response(with_security_headers))
}

async fn unknown_path() -> ApiError {
    ApiError::not_found("address in this API")
        .with_detail("Addresses begin with /v3 and have no slash at the end.")
}

async fn wrong_method(method: Method) -> ApiError {
    let message = format!("This address does not know the method {method}.");
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}

/// What every answer carries: it is JSON for a program, for nobody's cache and no browser's page.
async fn with_security_headers(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, &str); 4] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ];
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Runs the request to its end even when the client goes away, so that no write stops half-way or stays
/// unrecorded.
async fn answer(
    state: ApiState,
    operation: &'static Operation,
    params: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Response {
    let started = Instant::now();
    let ids = params.ok().and_then(|params| PathIds::parse(params.iter()));
    let handled = tokio::spawn(handle(state, operation, ids, request)).await;
    let response = handled.unwrap_or_else(|broken| Err(ApiError::internal(&broken))).into_response();
    let (status, took) = (response.status().as_u16(), started.elapsed());
    tracing::info!(operation = operation.id, status, ?took, "answered");
    response
}

async fn handle(
    state: ApiState,
    operation: &'static Operation,
    ids: Option<PathIds>,
    request: Request,
) -> Result<Answer, ApiError> {
    let deadline = Instant::now() + ANSWER_TIME;
    // What is no UUID is the id of nothing, whoever asks: decided before anything that depends on the key.
    let path = ids.ok_or_else(|| ApiError::not_found("record"))?;
    let (head, body) = request.into_parts();
    let peer = head.extensions.get::<Peer>().map(|peer| peer.0.ip());
    let caller = match operation.needs {
        Needs::Nothing => {
            throttle_open(&state, operation, peer)?;
            None
        }
        Needs::Secret => {
            throttle_hook(&state, peer)?;
            None
        }
        _ => Some(identify(&state, &head.headers, peer).await?),
    };
    if let Some(caller) = &caller {
        let taken = state.throttle.take(caller.key.id, Instant::now());
        taken.map_err(|wait| ApiError::too_many_requests("with this key", wait))?;
    }
    // Whoever has shown nothing yet may have a large body read, so only a few at a time.
    let _seats = match operation.needs {
        Needs::Secret => take_seats(&state, peer, &body)?,
        _ => Vec::new(),
    };
    let target = path.last();
    let allowed = caller.as_ref().map_or(Ok(()), |caller| authorize(operation, caller, &path));
    let result = match allowed {
        Ok(()) => {
            let body = read(body, operation.most_body_bytes()).await?;
            let query = Query::parse(head.uri.query().unwrap_or_default());
            let (state, caller, headers) = (state.clone(), caller.clone(), head.headers);
            let call = Call { state, caller, path, query, headers, body, peer };
            run(operation, call, deadline).await
        }
        Err(refusal) => Err(refusal),
    };
    // What needs no key writes its own row: only it knows whether the request is worth one.
    if let (true, Some(caller)) = (operation.is_write(), &caller) {
        let (target, status) = match &result {
            Ok(answer) => (answer.target.or(target), StatusCode::OK),
            Err(refusal) => (target, refusal.status()),
        };
        audit::append(&state, operation.id, Actor::Key(caller), target, peer, status).await;
    }
    result
}

/// Answers late where an address presents one wrong key after the other. A right one never waits: who shares the
/// address with somebody that guesses is not locked out.
async fn identify(state: &ApiState, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<Caller, ApiError> {
    let identified = auth::identify(state, headers).await;
    if identified.as_ref().is_err_and(|refusal| refusal.status() == StatusCode::UNAUTHORIZED) {
        wrong_secret(state, peer).await;
    }
    identified
}

/// Notes that an address presented a wrong key or secret, and takes its time when that is not the first.
pub async fn wrong_secret(state: &ApiState, peer: Option<IpAddr>) {
    if state.wrong_keys.take(peer.map(Network::of), Instant::now()).is_err() {
        tokio::time::sleep(WRONG_KEY_DELAY).await;
    }
}

/// What needs no key is anybody's to ask for, so each address gets its share and no more.
fn throttle_open(state: &ApiState, operation: &Operation, peer: Option<IpAddr>) -> Result<(), ApiError> {
    let throttle = match operation.is_write() {
        true => &state.open_writes,
        false => &state.open_reads,
    };
    let taken = throttle.take(peer.map(Network::of), Instant::now());
    taken.map_err(|wait| ApiError::too_many_requests("from this address", wait))
}

/// The same for the addresses that have a secret of their own.
fn throttle_hook(state: &ApiState, peer: Option<IpAddr>) -> Result<(), ApiError> {
    let taken = state.hook_calls.take(peer.map(Network::of), Instant::now());
    taken.map_err(|wait| ApiError::too_many_requests("from this address", wait))
}

/// One place for each body, and one of a few more for a body that is long or does not say how long it is.
fn take_seats(state: &ApiState, peer: Option<IpAddr>, body: &Body) -> Result<Vec<Seat>, ApiError> {
    let Some(peer) = peer else { return Ok(Vec::new()) };
    let refused = || ApiError::too_many_requests("from this address at the same time", SEAT_WAIT);
    let mut seats = vec![state.hook_seats.take(peer).ok_or_else(refused)?];
    if body.size_hint().upper().is_none_or(|most| most > MIB as u64) {
        seats.push(state.long_hook_seats.take(peer).ok_or_else(refused)?);
    }
    Ok(seats)
}

/// A panic ends this request only. A write that is late goes on by itself; a late read is given up.
async fn run(operation: &Operation, call: Call, deadline: Instant) -> Result<Answer, ApiError> {
    let mut work = tokio::spawn((operation.run)(call));
    match tokio::time::timeout_at(deadline.into(), &mut work).await {
        Ok(result) => result.unwrap_or_else(|broken| Err(ApiError::internal(&broken))),
        Err(_) => {
            if !operation.is_write() {
                work.abort();
            }
            Err(ApiError::too_slow())
        }
    }
}

/// Holds the caller against the operation's row. 403 says that the key lacks the permission; 404 that it has it
/// for other records only, and then it is not told whether this one exists.
fn authorize(operation: &Operation, caller: &Caller, path: &PathIds) -> Result<(), ApiError> {
    let Needs::Permission(permission) = operation.needs else { return Ok(()) };
    let refused = || {
        let role = permission.least_role().as_str();
        ApiError::forbidden(format!("the permission {} or the role {role}", permission.as_str()))
    };
    match (caller.powers.scope(permission), path.find("id")) {
        (Scope::All, _) => Ok(()),
        (Scope::Only(ids), _) if ids.is_empty() => Err(refused()),
        (Scope::Only(ids), Some(id)) if ids.contains(&id) => Ok(()),
        (Scope::Only(_), Some(_)) => Err(ApiError::not_found("record")),
        (Scope::Only(_), None) if operation.is_write() => Err(refused()),
        (Scope::Only(_), None) => Ok(()),
    }
}

async fn read(body: Body, most_bytes: usize) -> Result<Bytes, ApiError> {
    let collected = tokio::time::timeout(BODY_TIME, Limited::new(body, most_bytes).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let message = format!("The body is larger than {} MiB.", most_bytes / (1024 * 1024));
            Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message))
        }
        Ok(Err(_)) => Err(ApiError::bad_request("validation_failed", "The body did not arrive whole.")),
        Err(_) => {
            let message = "The body did not arrive in time.";
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", message))
        }
    }
}
