//! The header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-06): a client that heard no answer repeats
//! its request under the same key, and the request is carried out once.

use http::HeaderMap;
use sha2::{Digest, Sha256};
use store::RequestKey;

use crate::call::Call;
use crate::error::ApiError;

const HEADER: &str = "idempotency-key";
const LONGEST: usize = 255;

/// The key of a request, bound to what the request asks for: operation, application and body.
pub fn key(call: &Call, operation: &str) -> Result<Option<RequestKey>, ApiError> {
    key_for(call, operation, &call.body)
}

/// The same for a request that says elsewhere what it asks for.
pub fn key_for(call: &Call, operation: &str, asked: &[u8]) -> Result<Option<RequestKey>, ApiError> {
    let Some(key) = text(&call.headers)? else { return Ok(None) };
    let mut request = Sha256::new();
    request.update(operation);
    request.update(call.path.get("id"));
    request.update(asked);
    Ok(Some(RequestKey { key, request: hex::encode(request.finalize()) }))
}

/// The text of the header. The draft has it in quotes (section 2.1); most clients in use leave them out, and mean the
/// same.
fn text(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(invalid("The header is there twice."));
    }
    let value = value.to_str().map_err(|_| unfit())?.trim();
    let key = match value.strip_prefix('"') {
        None => value.to_owned(),
        Some(rest) => unquoted(rest).ok_or_else(|| invalid("The closing quote is missing."))?,
    };
    let is_fit = (1..=LONGEST).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    is_fit.then_some(Some(key)).ok_or_else(unfit)
}

/// The text of a quoted string (RFC 9651, section 3.3.3) after its opening quote; nothing follows the closing one.
fn unquoted(rest: &str) -> Option<String> {
    let mut text = String::new();
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return chars.next().is_none().then_some(text),
            '\\' => text.push(chars.next().filter(|next| matches!(next, '"' | '\\'))?),
            other => text.push(other),
        }
    }
}

fn unfit() -> ApiError {
    invalid("It is 1 to 255 visible ASCII characters, such as a UUID.")
}

fn invalid(detail: &str) -> ApiError {
    ApiError::bad_request("idempotency_key_invalid", "The header Idempotency-Key is not valid.")
        .with_detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(values: &[&str]) -> Option<Option<String>> {
        let values = values.iter().map(|value| HeaderValue::from_bytes(value.as_bytes()).unwrap());
        let headers = values.map(|value| (http::HeaderName::from_static(HEADER), value)).collect();
        text(&headers).ok()
    }

    #[test]
    fn a_key_is_read_with_and_without_quotes() {
        assert_eq!(read(&[]), Some(None));
        for (value, key) in [
            ("8e03978e-40d5", "8e03978e-40d5"),
            (r#""8e03978e-40d5""#, "8e03978e-40d5"),
            (r#" "a\"b\\c" "#, r#"a"b\c"#),
            (&"k".repeat(255), &"k".repeat(255)),
        ] {
            assert_eq!(read(&[value]), Some(Some(key.to_owned())), "{value}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let long = "k".repeat(256);
        for value in
            ["", " ", "a b", r#""""#, r#""a"#, r#""a"b"#, r#""a";p=1"#, r#""a\b""#, "ké", "a\tb", &long]
        {
            assert_eq!(read(&[value]), None, "{value:?}");
        }
        assert_eq!(read(&["a", "b"]), None);
    }
}
