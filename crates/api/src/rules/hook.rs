//! What a call of a deployment hook wants deployed: fields of a JSON body, of a form or of the query.

use http::{HeaderMap, header};
use serde_json::{Map, Value};
use wire::TriggerDeployment;

use crate::call::Query;
use crate::error::ApiError;

/// Every field and its other name, which counts when the field is not there.
const FIELDS: [(&str, &str); 6] = [
    ("docker_image", ""),
    ("docker_image_tag", ""),
    ("docker_image_digest", "digest"),
    ("branch", ""),
    ("commit_sha", "commit"),
    ("tag", ""),
];

/// The wish of a call; nothing said is the configured source.
pub fn wanted(headers: &HeaderMap, query: &Query, body: &[u8]) -> Result<TriggerDeployment, ApiError> {
    let mut fields = body_fields(headers, body)?;
    for name in FIELDS.into_iter().flat_map(|(name, other)| [name, other]) {
        // What the body says wins, under either name.
        if let (Some(text), false) = (query.text(name), has(&fields, name)) {
            fields.insert(name.to_owned(), Value::from(text));
        }
    }
    let [docker_image, docker_image_tag, docker_image_digest, branch, commit_sha, tag] = FIELDS
        .map(|(name, other)| text(&fields, name).transpose().or_else(|| text(&fields, other).transpose()));
    Ok(TriggerDeployment {
        docker_image: docker_image.transpose()?,
        docker_image_tag: docker_image_tag.transpose()?,
        docker_image_digest: docker_image_digest.transpose()?,
        branch: branch.transpose()?,
        commit_sha: commit_sha.transpose()?,
        tag: tag.transpose()?,
        is_restart: None,
    })
}

/// Whether a field is there under this or its other name.
fn has(fields: &Map<String, Value>, name: &str) -> bool {
    let pair = FIELDS.into_iter().find(|(own, other)| *own == name || *other == name);
    pair.is_some_and(|(own, other)| fields.contains_key(own) || fields.contains_key(other))
}

/// `curl -d` says that it sends a form also when it sends JSON, so the first character decides.
fn body_fields(headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let body = body.trim_ascii();
    if body.is_empty() {
        return Ok(Map::new());
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if body[0] != b'{' && kind.starts_with("application/x-www-form-urlencoded") {
        let fields = url::form_urlencoded::parse(body);
        return Ok(fields.map(|(name, value)| (name.into_owned(), Value::from(&*value))).collect());
    }
    serde_json::from_slice(body).map_err(|error| {
        let message = "The body is neither a JSON object nor a form.";
        ApiError::bad_request("validation_failed", message)
            .with_detail(format!("Leave it out to deploy the configured source. {error}"))
    })
}

/// A field's text. An object or a list under its name belongs to the payload of somebody else, a number or a switch is a
/// mistake.
fn text(fields: &Map<String, Value>, name: &str) -> Result<Option<String>, ApiError> {
    match fields.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(Value::Number(_) | Value::Bool(_)) => {
            Err(ApiError::invalid(name, "it must be a text, in quotes"))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(query: &str, body: &str) -> Result<TriggerDeployment, ApiError> {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        let headers = [(header::CONTENT_TYPE, form)].into_iter().collect();
        wanted(&headers, &Query::parse(query), body.as_bytes())
    }

    #[test]
    fn a_wish_comes_as_json_as_a_form_or_in_the_query() {
        let tag = TriggerDeployment { tag: Some("1.2".to_owned()), ..TriggerDeployment::default() };
        for (query, body) in
            [("", r#"{"tag": "1.2"}"#), ("", "tag=1.2"), ("tag=1.2", ""), ("tag=9", r#" {"tag":"1.2"} "#)]
        {
            assert_eq!(read(query, body).unwrap(), tag, "{query} {body}");
        }
        let short = read("commit=abc&digest=sha256:1&branch=main", "").unwrap();
        assert_eq!(
            (short.commit_sha.as_deref(), short.docker_image_digest.as_deref()),
            (Some("abc"), Some("sha256:1"))
        );
        assert_eq!(short.branch.as_deref(), Some("main"));
        let body_wins = read("commit=b", r#"{"commit_sha": "a"}"#).unwrap();
        assert_eq!(body_wins.commit_sha.as_deref(), Some("a"));
    }

    #[test]
    fn a_payload_of_somebody_else_is_no_wish() {
        let docker_hub =
            r#"{"push_data": {"tag": "2"}, "repository": {"name": "x"}, "callback_url": "https://x"}"#;
        let with_objects = r#"{"commit": {"id": "1"}, "tag": null, "branch": "", "docker_image": ["x"]}"#;
        for body in ["", " \n", "{}", docker_hub, with_objects] {
            assert_eq!(read("", body).unwrap(), TriggerDeployment::default(), "{body}");
        }
    }

    #[test]
    fn a_mistake_is_not_taken_for_the_configured_source() {
        for body in [r#"{"tag": 1.2}"#, r#"{"commit": true}"#, "{", "{\"tag\"}"] {
            assert!(read("", body).is_err(), "{body}");
        }
        let json = wanted(&HeaderMap::new(), &Query::default(), b"[1]");
        assert!(json.is_err());
    }
}
