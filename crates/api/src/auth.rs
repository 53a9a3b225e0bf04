//! Who asks: the API key of a request.

use http::{HeaderMap, header};
use model::Timestamp;
use model::access::ApiKey;

use crate::check;
use crate::error::{ApiError, chain};
use crate::permission::Powers;
use crate::state::ApiState;
use crate::token;

/// The holder of a valid key.
#[derive(Clone)]
pub struct Caller {
    pub key: ApiKey,
    pub powers: Powers,
}

/// The caller of a request. Whatever is wrong with a key, the answer is the same.
pub async fn identify(state: &ApiState, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let text = bearer(headers).ok_or_else(ApiError::unauthorized)?;
    let hash = token::hash_presented(text).ok_or_else(ApiError::unauthorized)?;
    let now = Timestamp::now();
    let found = state.store.instance().key_by_token_hash(hash).await?;
    let (key, is_old) = found.ok_or_else(ApiError::unauthorized)?;
    if !is_usable(&key, is_old, now) {
        return Err(ApiError::unauthorized());
    }
    note_use(state, &key, now).await;
    Ok(Caller { powers: Powers::of(&key), key })
}

/// Notes that the key was used. Where that cannot be written, as on a full disk, the request goes on: somebody has
/// to be able to look, and to remove what fills it.
async fn note_use(state: &ApiState, key: &ApiKey, now: Timestamp) {
    if let Err(error) = state.store.instance().touch_key(key, now).await {
        tracing::warn!(key = %key.id, error = chain(&error), "the use of an API key cannot be noted");
    }
}

/// The text after `Bearer`; the scheme is compared without regard to case (RFC 9110, section 11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    // Two headers may mean two things to two servers; neither is believed.
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim_start())
}

/// `is_old`: the token presented is the one from before a rotation.
fn is_usable(key: &ApiKey, is_old: bool, now: Timestamp) -> bool {
    let is_over = |text: &String| check::moment("expired_at", text).map_or(true, |end| end <= now);
    let is_retired = is_old && key.old_token_expired_at.is_none_or(|end| end <= now);
    key.is_enabled && !is_retired && !key.expired_at.as_ref().is_some_and(is_over)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (header::AUTHORIZATION, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_key_stands_after_bearer() {
        assert_eq!(bearer(&headers(&["Bearer abc"])), Some("abc"));
        assert_eq!(bearer(&headers(&["bearer  abc"])), Some("abc"));
        for bad in [&[][..], &["abc"], &["Basic abc"], &["Bearer"], &["Bearer a", "Bearer b"]] {
            assert_eq!(bearer(&headers(bad)), None, "{bad:?}");
        }
    }
}
