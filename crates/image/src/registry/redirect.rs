//! Where a redirect may lead.

use http::header::{HeaderMap, LOCATION};
use url::Url;

use super::clean;
use super::place::{Named, host_and_port};

/// Which redirects a request follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follow {
    /// To other hosts too: blobs are often kept elsewhere.
    Anywhere,
    /// To the same host and port only: a login is answered by whom it was meant for.
    Home,
}

/// The next address of a redirect, or why it is not followed.
pub(super) fn next(from: &Url, headers: &HeaderMap, follow: Follow, named: &Named) -> Result<Url, String> {
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let target = location.and_then(|location| from.join(location).ok()).filter(Url::has_host);
    let target = target.ok_or_else(|| "redirects to no address".to_owned())?;
    let to = clean(&host_and_port(&target));
    if !target.username().is_empty() || target.password().is_some() {
        return Err(format!("redirects to {to} with a user name"));
    }
    if !matches!((from.scheme(), target.scheme()), ("https", "https") | ("http", "http" | "https")) {
        return Err(format!("redirects from https to {to} over plain http, which is not allowed"));
    }
    if target.origin() == from.origin() {
        return Ok(target);
    }
    if follow == Follow::Home {
        return Err(format!("redirects to {to}, where a login does not follow"));
    }
    // What the administrator named is often inside the network; nobody from outside leads there.
    if named.allows(&target) && !named.allows(from) {
        return Err(format!("redirects to {to}, where only the registries of this network may lead"));
    }
    Ok(target)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn redirects_stay_on_https_and_carry_no_user() {
        let named = Named::new(&["10.0.0.1:5000".to_owned()], &["10.0.0.2".to_owned()]);
        let from = Url::parse("https://a.example/v2/x/blobs/1").unwrap();
        let go = |from: &Url, location: &str, follow| {
            let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_str(location).unwrap())]);
            next(from, &headers, follow, &named)
        };
        let to = |location: &str| go(&from, location, Follow::Anywhere);
        assert_eq!(to("/other").unwrap().as_str(), "https://a.example/other");
        assert_eq!(to("https://b.example/x").unwrap().as_str(), "https://b.example/x");
        assert!(to("http://a.example/x").unwrap_err().contains("plain http"));
        assert!(to("https://user:pass@b.example/x").unwrap_err().contains("b.example with a user name"));
        assert!(to("file:///etc/passwd").is_err());
        assert!(to("https://").is_err());
        assert!(to("https://10.0.0.2/x").unwrap_err().contains("of this network"));
        assert!(next(&from, &HeaderMap::new(), Follow::Anywhere, &named).is_err());

        assert!(go(&from, "/other", Follow::Home).is_ok());
        for elsewhere in ["https://b.example/", "https://a.example:444/", "https://b.a.example/"] {
            assert!(
                go(&from, elsewhere, Follow::Home).unwrap_err().contains("does not follow"),
                "{elsewhere}"
            );
        }
        let inside = Url::parse("http://10.0.0.1:5000/v2/x/blobs/1").unwrap();
        assert!(go(&inside, "https://10.0.0.2/x", Follow::Anywhere).is_ok());
    }
}
