//! When to ask again.

use std::time::Duration;

use http::header::{HeaderMap, RETRY_AFTER};

/// How often a request is made that the server could not serve.
pub(super) const TRIES: u32 = 3;

/// Seconds or a date (RFC 9110, section 10.2.3); `None` when it is neither.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    let wait = date.duration_since(jiff::Timestamp::now());
    Some(Duration::try_from(wait).unwrap_or_default())
}

/// Pulls that are left, as Docker Hub says it: `ratelimit-remaining: 0;w=21600`.
pub(super) fn pulls_left(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get("ratelimit-remaining")?.to_str().ok()?;
    text.split(';').next()?.trim().parse().ok()
}

/// A quarter of a second, doubled with every try, half of it by chance, so that many clients spread out.
pub(super) fn backoff(tried: u32) -> Duration {
    let base = Duration::from_millis(250) * 2_u32.pow(tried.min(6) - 1);
    let chance = jiff::Timestamp::now().subsec_nanosecond().unsigned_abs() % 1000;
    base / 2 + base * chance / 2000
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let name = http::HeaderName::from_static(name);
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let wait = |text: &str| retry_after(&headers("retry-after", text));
        assert_eq!(wait("5"), Some(Duration::from_secs(5)));
        assert_eq!(wait("86400"), Some(Duration::from_secs(86400)));
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert!(wait("Wed, 21 Oct 2065 07:28:00 GMT") > Some(Duration::from_secs(86400)));
        assert_eq!(wait("-5"), None);
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("99999999999999999999999"), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn what_is_left_is_read_when_a_registry_says_it() {
        assert_eq!(pulls_left(&headers("ratelimit-remaining", "0;w=21600")), Some(0));
        assert_eq!(pulls_left(&headers("ratelimit-remaining", "many")), None);
        assert_eq!(pulls_left(&HeaderMap::new()), None);
    }
}
