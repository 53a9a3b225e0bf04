//! Git LFS as servers speak it (github.com/git-lfs/git-lfs, docs/api/batch.md and docs/spec.md).

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::server::{moved, plain};

/// Where files are asked for, after a repository's address.
pub(super) const BATCH: &str = "/info/lfs/objects/batch";
/// Where they are.
pub(super) const OBJECTS: &str = "/lfs-objects/";
/// Where they are for whoever was sent there: the address says everything, and a login in addition is refused, as by S3.
pub(super) const SIGNED: &str = "/signed-objects/";
/// What must be sent to get one: the address alone does not do, as with many a store.
const TICKET: &str = "ticket of the store";

/// Id of a file, and what stands for it in a repository.
pub(super) fn pointer(bytes: &[u8]) -> (String, String) {
    let id = hex::encode(Sha256::digest(bytes));
    let size = bytes.len();
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{id}\nsize {size}\n");
    (id, pointer)
}

/// Says where files are.
pub(super) async fn batch(own: &str, kept: &[String], request: Request) -> Response {
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap_or_default();
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let objects = asked["objects"].as_array().cloned().unwrap_or_default();
    let objects: Vec<Value> = objects.into_iter().map(|object| answer(own, kept, &object)).collect();
    let mut response =
        Response::new(Body::from(json!({"transfer": "basic", "objects": objects}).to_string()));
    let kind = http::HeaderValue::from_static("application/vnd.git-lfs+json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}

fn answer(own: &str, kept: &[String], object: &Value) -> Value {
    let id = object["oid"].as_str().unwrap_or_default();
    if !kept.iter().any(|known| known == id) {
        return json!({"oid": id, "size": object["size"], "error": {"code": 404, "message": "Object does not exist"}});
    }
    let download = json!({"href": format!("{own}{OBJECTS}{id}"), "header": {"Authorization": TICKET}});
    json!({"oid": id, "size": object["size"], "actions": {"download": download}})
}

/// Gives a file to who sends the ticket and nothing else, or sends them to it.
pub(super) fn object(bytes: Option<&Vec<u8>>, sent: &Option<String>, to: Option<String>) -> Response {
    match (bytes, sent.as_deref(), to) {
        (Some(_), Some(TICKET), Some(to)) => moved(&to),
        (Some(bytes), Some(TICKET), None) => Response::new(Body::from(bytes.clone())),
        (Some(_), _, _) => plain(StatusCode::FORBIDDEN, "no ticket"),
        (None, _, _) => plain(StatusCode::NOT_FOUND, "no such object"),
    }
}

/// Gives a file to who sends nothing, or sends them on.
pub(super) fn signed(bytes: Option<&Vec<u8>>, sent: &Option<String>, to: Option<String>) -> Response {
    match (bytes, sent, to) {
        (_, Some(_), _) => plain(StatusCode::BAD_REQUEST, "two logins"),
        (Some(_), None, Some(to)) => moved(&to),
        (Some(bytes), None, None) => Response::new(Body::from(bytes.clone())),
        (None, None, _) => plain(StatusCode::NOT_FOUND, "no such object"),
    }
}
