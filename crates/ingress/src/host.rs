//! Which host a request is for. Pure.

use http::request::Parts;
use http::{HeaderMap, Method, Version, header};

use crate::answer::Reason;

/// A host as routes name it: lower case, without port and without a final dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// For look-ups.
    pub name: String,
    /// As received, port included: what the application is told.
    pub received: String,
}

/// The host of a request, or why there is none.
///
/// `Host` and the target of the request (its absolute form in HTTP/1, `:authority` in HTTP/2) must agree when
/// both are there. Where they point at different hosts, two servers in a row could read two requests.
pub(crate) fn host_of(request: &Parts) -> Result<Host, Reason> {
    if request.method == Method::CONNECT {
        return Err(Reason::MethodRefused);
    }
    if request.version != Version::HTTP_2 && request.uri.scheme().is_some_and(|scheme| scheme != "http") {
        return Err(Reason::BadRequest);
    }
    let header = host_header(&request.headers)?;
    let target = request.uri.authority().map(|authority| parse(authority.as_str())).transpose()?;
    match (header, target) {
        (Some(host), None) | (None, Some(host)) => Ok(host),
        (Some(header), Some(target)) if header.name == target.name => Ok(target),
        _ => Err(Reason::BadRequest),
    }
}

fn host_header(headers: &HeaderMap) -> Result<Option<Host>, Reason> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => parse(value.to_str().map_err(|_| Reason::BadRequest)?).map(Some),
        (Some(_), Some(_)) => Err(Reason::BadRequest),
    }
}

fn parse(received: &str) -> Result<Host, Reason> {
    let (name, port) = match received.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, after)) => {
            address.parse::<std::net::Ipv6Addr>().map_err(|_| Reason::BadRequest)?;
            (&received[..address.len() + 2], after.strip_prefix(':').or(after.is_empty().then_some("")))
        }
        None => match received.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (received, Some("")),
        },
    };
    let port_is_fine = port.is_some_and(|port| port.is_empty() || is_port(port));
    let name = name.strip_suffix('.').unwrap_or(name);
    if !port_is_fine || !is_name(name) {
        return Err(Reason::BadRequest);
    }
    Ok(Host { name: name.to_ascii_lowercase(), received: received.to_owned() })
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// Letters, digits, `-`, `_` and dots between labels; or an address in brackets, which was checked.
fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.starts_with('[') || (name.len() <= 253 && name.split('.').all(label))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn name(uri: &str, hosts: &[&str]) -> Result<String, Reason> {
        let mut request = Request::get(uri);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        host_of(&request.body(()).unwrap().into_parts().0).map(|host| host.name)
    }

    #[test]
    fn a_host_is_lower_case_without_port_and_final_dot() {
        for (received, expected) in [
            ("shop.example.com", "shop.example.com"),
            ("Shop.Example.COM:8080", "shop.example.com"),
            ("shop.example.com.", "shop.example.com"),
            ("shop.example.com.:80", "shop.example.com"),
            ("shop:", "shop"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(name("/", &[received]).as_deref(), Ok(expected), "{received}");
        }
    }

    #[test]
    fn an_impossible_host_is_refused() {
        let bad = [
            "",
            ".",
            "a..b",
            ".a",
            "a b",
            "a@b",
            "user:pass@a",
            "a:b",
            "a:99999",
            "a:-1",
            "a:+1",
            "[::1",
            "[::1]80",
            "[x]",
            "a/b",
            "a?b",
            "a..",
            "a:80:80",
            "ä",
            "a,b",
            "a%2eb",
        ];
        for bad in bad {
            assert_eq!(name("/", &[bad]), Err(Reason::BadRequest), "{bad:?}");
        }
        assert_eq!(name("/", &[]), Err(Reason::BadRequest));
        assert_eq!(name("/", &["a", "a"]), Err(Reason::BadRequest));
        assert_eq!(name("/", &["a", "b"]), Err(Reason::BadRequest));
    }

    #[test]
    fn target_and_header_must_agree() {
        assert_eq!(name("http://a/x", &["A:80"]).as_deref(), Ok("a"));
        assert_eq!(name("http://a/x", &[]).as_deref(), Ok("a"));
        assert_eq!(name("http://b/x", &["a"]), Err(Reason::BadRequest));
        assert_eq!(name("https://a/x", &["a"]), Err(Reason::BadRequest));
        assert_eq!(name("http://a@b/x", &["b"]), Err(Reason::BadRequest));
    }

    #[test]
    fn connect_is_refused() {
        let request = Request::connect("169.254.169.254:80").body(()).unwrap().into_parts().0;
        assert_eq!(host_of(&request), Err(Reason::MethodRefused));
    }
}
