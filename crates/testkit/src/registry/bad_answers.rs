//! What the bad registry answers.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE, RETRY_AFTER,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;

use super::bad::{Fault, Reply, Repository, Shared};
use crate::seen::Seen;

/// The token that the bad registry gives and takes.
const TOKEN: &str = "a-token-of-the-test";

pub(super) fn router(state: Shared) -> Router {
    Router::new().fallback(answer).with_state(state)
}

async fn answer(State(state): State<Shared>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let full = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let (method, headers) = (request.method().to_string(), request.headers().clone());
    let seen = Seen { method, path: full.clone(), headers: headers.clone() };
    state.lock().seen.push(seen.clone());
    let script = state.lock().script.clone();
    if let Some(reply) = script.and_then(|script| script(&seen)) {
        tokio::time::sleep(reply.delay).await;
        return scripted(reply);
    }
    if path == "/token" {
        return token(&state, &full, &headers);
    }
    match respond(&state, &path, &headers) {
        Some(response) => response,
        None => std::future::pending().await,
    }
}

fn scripted(reply: Reply) -> Response {
    let builder = Response::builder().status(reply.status);
    let builder = reply.headers.iter().fold(builder, |builder, (name, value)| builder.header(name, value));
    builder.body(Body::from(reply.body)).unwrap_or_default()
}

/// The answer, or `None` for a repository that gives none.
fn respond(state: &Shared, path: &str, headers: &HeaderMap) -> Option<Response> {
    let unknown = || error(StatusCode::NOT_FOUND, "NAME_UNKNOWN");
    let mut inner = state.lock();
    let found =
        split(path).and_then(|(name, kind, item)| Some((inner.repositories.get_mut(name)?, kind, item)));
    let Some((repository, kind, item)) = found else {
        return Some(unknown());
    };
    if repository.fault == Fault::Silent {
        return None;
    }
    if let Some(refused) = refused(state, repository, headers) {
        return Some(refused);
    }
    Some(match kind {
        "manifests" => manifest(repository, item),
        "blobs" => blob(repository, item, headers),
        _ => json_answer(StatusCode::OK, &json!({"tags": ["1"]})),
    })
}

/// `/v2/<repository>/<kind>/<name>`.
fn split(path: &str) -> Option<(&str, &str, &str)> {
    let rest = path.strip_prefix("/v2/")?;
    let (rest, name) = rest.rsplit_once('/')?;
    let (repository, kind) = rest.rsplit_once('/')?;
    Some((repository, kind, name))
}

/// Faults that come before anything is looked up.
fn refused(state: &Shared, repository: &mut Repository, headers: &HeaderMap) -> Option<Response> {
    match repository.fault.clone() {
        Fault::Token { .. } => {
            let has_token =
                headers.get(AUTHORIZATION).is_some_and(|value| value == &format!("Bearer {TOKEN}"));
            let challenge = format!(
                "Bearer realm=\"{}/token\",service=\"the test\",scope=\"repository:x:pull\"",
                state.base
            );
            (!has_token).then(|| challenged(&challenge))
        }
        Fault::Challenge(challenge) => Some(challenged(&challenge)),
        Fault::Status { status, times, retry_after } if repository.strikes(times) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut response = error(status, "UNKNOWN");
            if let Some(value) = retry_after.and_then(|text| HeaderValue::try_from(text).ok()) {
                response.headers_mut().insert(RETRY_AFTER, value);
            }
            Some(response)
        }
        Fault::NotFound { code } => Some(error(StatusCode::NOT_FOUND, &code)),
        _ => None,
    }
}

fn challenged(challenge: &str) -> Response {
    let mut response = error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
    if let Ok(value) = HeaderValue::try_from(challenge) {
        response.headers_mut().insert("www-authenticate", value);
    }
    response
}

fn token(state: &Shared, query: &str, headers: &HeaderMap) -> Response {
    let wanted = state.lock().repositories.values().find_map(|repository| match &repository.fault {
        Fault::Token { login } => Some(login.clone()),
        _ => None,
    });
    let sent = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let expected =
        wanted.flatten().map(|(name, secret)| format!("Basic {}", base64(&format!("{name}:{secret}"))));
    if !query.contains("scope=") || expected.as_deref().is_some_and(|expected| sent != Some(expected)) {
        return json_answer(StatusCode::UNAUTHORIZED, &json!({"details": "incorrect username or password"}));
    }
    json_answer(StatusCode::OK, &json!({"token": TOKEN, "expires_in": 300}))
}

fn manifest(repository: &Repository, name: &str) -> Response {
    let Some((media_type, document)) = repository.manifests.get(name) else {
        return error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN");
    };
    let mut document = document.clone();
    let mut digest = crate::image::digest(&document);
    match repository.fault {
        Fault::WrongDigestHeader => digest = crate::image::digest(b"something else"),
        Fault::WrongManifest if name.starts_with("sha256:") => document.push(b' '),
        _ => {}
    }
    let builder =
        Response::builder().header(CONTENT_TYPE, media_type).header("docker-content-digest", digest);
    builder.body(Body::from(document)).unwrap_or_default()
}

fn blob(repository: &mut Repository, name: &str, headers: &HeaderMap) -> Response {
    let Some(mut bytes) = repository.blobs.get(name).cloned() else {
        return error(StatusCode::NOT_FOUND, "BLOB_UNKNOWN");
    };
    let is_config = bytes.starts_with(b"{");
    let from = headers
        .get(RANGE)
        .and_then(|value| value.to_str().ok()?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    match repository.fault.clone() {
        _ if is_config => whole(bytes),
        Fault::Cut { after, has_ranges: true, .. } => part(&bytes, from.unwrap_or(0), after),
        Fault::Cut { after, has_ranges: false, times } => match repository.strikes(times) {
            true => cut(StatusCode::OK, &bytes, 0, after),
            false => whole(bytes),
        },
        Fault::Stall { after } => stalled(&bytes, after),
        Fault::WrongRange { after } => match from {
            None => cut(StatusCode::OK, &bytes, 0, after),
            Some(from) => part(&bytes, from + 1, after),
        },
        Fault::WrongBytes { times } if repository.strikes(times) => {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            whole(bytes)
        }
        Fault::TooLong => {
            bytes.extend_from_slice(&[0; 1000]);
            whole(bytes)
        }
        Fault::RedirectBlobs(to) => {
            let to = to.replace("{digest}", name);
            let builder = Response::builder().status(StatusCode::TEMPORARY_REDIRECT).header(LOCATION, to);
            builder.body(Body::empty()).unwrap_or_default()
        }
        Fault::NoBlobs => error(StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
        _ => whole(bytes),
    }
}

fn whole(bytes: Vec<u8>) -> Response {
    Response::new(Body::from(bytes))
}

/// The bytes from `from` on, cut after `after` of them when there are more.
fn part(bytes: &[u8], from: usize, after: usize) -> Response {
    let status = if from == 0 { StatusCode::OK } else { StatusCode::PARTIAL_CONTENT };
    let mut response = cut(status, bytes, from, after);
    if from > 0 {
        let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
        response
            .headers_mut()
            .insert(CONTENT_RANGE, HeaderValue::try_from(range).expect("digits make a header"));
    }
    response
}

/// Promises everything from `from` on and breaks the connection after `after` bytes.
fn cut(status: StatusCode, bytes: &[u8], from: usize, after: usize) -> Response {
    let rest = &bytes[from.min(bytes.len())..];
    let first = Bytes::copy_from_slice(&rest[..after.min(rest.len())]);
    let end = (after < rest.len()).then(|| Err(std::io::Error::other("cut by the test")));
    let pieces = stream::iter([Ok(first)].into_iter().chain(end));
    let builder = Response::builder().status(status).header(CONTENT_LENGTH, rest.len());
    builder.body(Body::from_stream(pieces)).unwrap_or_default()
}

/// Promises everything and goes quiet after `after` bytes.
fn stalled(bytes: &[u8], after: usize) -> Response {
    let first = Bytes::copy_from_slice(&bytes[..after.min(bytes.len())]);
    let pieces = stream::iter([Ok::<_, std::io::Error>(first)]).chain(stream::pending());
    let builder = Response::builder().header(CONTENT_LENGTH, bytes.len());
    builder.body(Body::from_stream(pieces)).unwrap_or_default()
}

fn error(status: StatusCode, code: &str) -> Response {
    json_answer(status, &json!({"errors": [{"code": code, "message": "a message of the test"}]}))
}

fn json_answer(status: StatusCode, body: &serde_json::Value) -> Response {
    let builder = Response::builder().status(status).header(CONTENT_TYPE, "application/json");
    builder.body(Body::from(body.to_string())).unwrap_or_default()
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
