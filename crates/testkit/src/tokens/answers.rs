//! What the token server answers, in each style.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode};
use rcgen::SigningKey;
use serde_json::{Value, json};

use super::users::Judged;
use super::{ISSUER, Inner, Seen, Shared, Style};

pub(super) fn router(state: Shared) -> Router {
    Router::new().fallback(answer).with_state(state)
}

async fn answer(State(state): State<Shared>, request: Request) -> Response {
    let mut inner = state.lock();
    let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let (method, headers) = (request.method().to_string(), request.headers().clone());
    inner.seen.push(Seen { method, path: path.clone(), headers: headers.clone() });
    if !inner.faults.is_empty() {
        let (status, retry_after) = inner.faults.remove(0);
        let builder = Response::builder().status(status);
        let builder = match retry_after {
            Some(text) => builder.header("retry-after", text),
            None => builder,
        };
        return builder.body(Body::from("a fault of the test")).unwrap_or_default();
    }
    let (status, body) = respond(&inner, &path, &headers);
    let builder = Response::builder().status(status).header("content-type", "application/json");
    builder.body(Body::from(body.to_string())).unwrap_or_default()
}

fn respond(inner: &Inner, path: &str, headers: &HeaderMap) -> (StatusCode, Value) {
    let login = login(headers);
    if let Some((name, secret)) = &login {
        let judged = inner.users.judge(name, secret);
        if judged != Judged::Good {
            return refused(inner.style, judged);
        }
    }
    let name = login.as_ref().map(|(name, _)| &**name);
    let query = |wanted: &str| {
        let pairs =
            url::form_urlencoded::parse(path.split_once('?').map_or("", |(_, query)| query).as_bytes());
        pairs.filter(|(key, _)| key == wanted).map(|(_, value)| value.into_owned()).collect::<Vec<_>>()
    };
    let mut access = Vec::new();
    for scope in query("scope") {
        let Some((repository, actions)) =
            scope.strip_prefix("repository:").and_then(|rest| rest.rsplit_once(':'))
        else {
            continue;
        };
        let wanted: Vec<&str> = actions.split(',').collect();
        let allowed = inner.users.allowed(name, repository, &wanted);
        if allowed.is_empty() && inner.style != Style::Hub {
            return no_access(inner.style, name.is_some());
        }
        if !allowed.is_empty() {
            access.push(json!({"type": "repository", "name": repository, "actions": allowed}));
        }
    }
    let service = query("service").into_iter().next().unwrap_or_default();
    match sign(inner, &service, name.unwrap_or_default(), &access) {
        Ok(token) => (StatusCode::OK, given(inner, &token)),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, json!({"details": error.to_string()})),
    }
}

fn login(headers: &HeaderMap) -> Option<(String, String)> {
    let pair = headers.get("authorization")?.to_str().ok()?.strip_prefix("Basic ")?;
    let pair = String::from_utf8(STANDARD.decode(pair).ok()?).ok()?;
    pair.split_once(':').map(|(name, secret)| (name.to_owned(), secret.to_owned()))
}

fn given(inner: &Inner, token: &str) -> Value {
    let mut answer = match inner.style {
        Style::Hub => json!({"token": token, "access_token": token}),
        Style::Ghcr | Style::Gitlab => json!({"token": token}),
        Style::Azure => json!({"access_token": token}),
    };
    answer["expires_in"] = json!(inner.lifetime.as_secs());
    answer
}

fn refused(style: Style, judged: Judged) -> (StatusCode, Value) {
    let error = |code: &str, message: &str| json!({"errors": [{"code": code, "message": message}]});
    let (status, body) = match (style, judged) {
        (Style::Ghcr, Judged::NoScope) => {
            let words = "permission_denied: The token provided does not match expected scopes.";
            (403, error("DENIED", words))
        }
        (_, Judged::NoScope) => (403, error("DENIED", "access forbidden")),
        (_, Judged::Expired) => (401, error("UNAUTHORIZED", "the access token has expired")),
        (Style::Hub, _) => (401, json!({"details": "incorrect username or password"})),
        (Style::Ghcr, _) => (403, error("DENIED", "denied")),
        (Style::Gitlab, _) => {
            let words = "HTTP Basic: Access denied. The provided password or token is incorrect";
            (401, error("UNAUTHORIZED", words))
        }
        (Style::Azure, _) => (401, error("UNAUTHORIZED", "authentication required")),
    };
    (StatusCode::from_u16(status).unwrap_or_default(), body)
}

fn no_access(style: Style, has_login: bool) -> (StatusCode, Value) {
    let error = |code: &str, message: &str| json!({"errors": [{"code": code, "message": message}]});
    match (style, has_login) {
        (Style::Gitlab, _) => (StatusCode::FORBIDDEN, error("DENIED", "access forbidden")),
        (_, false) => (StatusCode::UNAUTHORIZED, error("UNAUTHORIZED", "authentication required")),
        (_, true) => (StatusCode::FORBIDDEN, error("DENIED", "requested access to the resource is denied")),
    }
}

/// A token as docker-registry takes it (distribution, "Token Authentication Implementation").
fn sign(inner: &Inner, service: &str, subject: &str, access: &[Value]) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let header = json!({"typ": "JWT", "alg": "RS256", "x5c": [STANDARD.encode(&inner.certificate)]});
    let claims = json!({
        "iss": ISSUER,
        "sub": subject,
        "aud": service,
        "exp": now + inner.lifetime.as_secs(),
        "nbf": now - 10,
        "iat": now,
        "jti": format!("{now}-{}", inner.seen.len()),
        "access": access,
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = inner.key.sign(signed.as_bytes())?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
