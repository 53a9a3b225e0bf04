//! Which header fields pass, in both directions. Pure.
//!
//! Hop-by-hop fields end here (RFC 9110, 7.6.1). What tells an application who asked is written by us alone.

use std::net::{IpAddr, SocketAddr};

use http::header::{self, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Version};

use crate::answer::REASON_HEADER;
use crate::host::Host;
use crate::proxy::CANDIDATE_HEADER;

/// Fields that concern one connection only.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "trailer",
];

/// Who asked, as a client may claim and only we may say. Names that begin with `x-forwarded` belong here too.
const CLAIMS: [&str; 6] =
    ["forwarded", "x-real-ip", "true-client-ip", "x-client-ip", "x-cluster-client-ip", "x-original-host"];

/// Never removed because `Connection` names them: without them the message would mean something else.
const KEPT: [HeaderName; 2] = [header::HOST, header::CONTENT_LENGTH];

/// Where a request came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub client: IpAddr,
    /// The public address that took the connection.
    pub local: SocketAddr,
}

/// Makes the request's fields those that the application may see.
///
/// `has_body`: whether a body follows that has no `Content-Length`. `upgrade`: the protocol that the client
/// wants to speak instead, from [`wanted_upgrade`].
pub(crate) fn prepare_request(
    request: &mut Parts,
    host: &Host,
    origin: Origin,
    has_body: bool,
    upgrade: Option<&HeaderValue>,
) {
    let wants_trailers = te_is_trailers(&request.headers);
    let headers = &mut request.headers;
    remove_hop_by_hop(headers);
    // The client gets its 100 from us, and the body goes out at once.
    headers.remove(header::EXPECT);
    remove_names(headers, is_ours_to_say);
    if request.version == Version::HTTP_2 {
        join_cookies(headers);
    }
    if let Ok(received) = HeaderValue::from_str(&host.received) {
        headers.insert(header::HOST, received.clone());
        headers.insert("x-forwarded-host", received);
    }
    let client = HeaderValue::from_str(&origin.client.to_string()).expect("an address is printable");
    headers.insert("x-forwarded-for", client.clone());
    headers.insert("x-real-ip", client);
    headers.insert("x-forwarded-proto", HeaderValue::from_static("http"));
    headers.insert("x-forwarded-port", HeaderValue::from(origin.local.port()));
    if let Ok(forwarded) = HeaderValue::from_str(&forwarded(host, origin)) {
        headers.insert(header::FORWARDED, forwarded);
    }
    if wants_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if has_body && !headers.contains_key(header::CONTENT_LENGTH) {
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if let Some(protocol) = upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocol.clone());
    }
}

/// Makes the response's fields those that the client may see. A 101 keeps the protocol it switches to.
pub(crate) fn prepare_response(headers: &mut HeaderMap, switches: bool) {
    let upgrade = headers.get(header::UPGRADE).cloned();
    let trailer = headers.get(header::TRAILER).cloned();
    remove_hop_by_hop(headers);
    remove_names(headers, |name| name == REASON_HEADER || name.starts_with("proxy-"));
    // In a response it names what follows the body, which passes through.
    if let Some(trailer) = trailer {
        headers.insert(header::TRAILER, trailer);
    }
    if let (true, Some(upgrade)) = (switches, upgrade) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, upgrade);
    }
}

/// Whether a request is a call of gRPC, of which each side may be a stream of messages.
pub(crate) fn is_grpc(request: &HeaderMap) -> bool {
    let kind = request.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    kind.get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"))
}

/// Whether the length of an answer can be read in one way only.
pub(crate) fn has_one_length(answer: &HeaderMap) -> bool {
    let mut lengths = answer.get_all(header::CONTENT_LENGTH).iter();
    let mut encodings = answer.get_all(header::TRANSFER_ENCODING).iter();
    match (lengths.next(), encodings.next()) {
        (None, None) => true,
        (Some(length), None) => lengths.next().is_none() && length.as_bytes().iter().all(u8::is_ascii_digit),
        (None, Some(encoding)) => {
            encodings.next().is_none() && encoding.as_bytes().eq_ignore_ascii_case(b"chunked")
        }
        (Some(_), Some(_)) => false,
    }
}

/// Whether what a request expects is nothing, or a word before it sends its body.
pub(crate) fn expects_what_we_do(request: &HeaderMap) -> bool {
    let mut expectations = request.get_all(header::EXPECT).iter();
    let is_known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    expectations.next().is_none_or(is_known) && expectations.next().is_none()
}

/// The protocol that an HTTP/1.1 request wants to change to.
///
/// `h2c` is not one of them: behind an upgrade to HTTP/2 an application would be reached past these rules.
pub(crate) fn wanted_upgrade(request: &Parts) -> Option<HeaderValue> {
    let named =
        request.version == Version::HTTP_11 && named_by_connection(&request.headers).any(|n| n == "upgrade");
    let mut values = request.headers.get_all(header::UPGRADE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let text = value.to_str().ok()?.trim();
    let is_h2c = text.split(',').any(|token| token.trim().to_ascii_lowercase().starts_with("h2"));
    (named && !text.is_empty() && !is_h2c).then(|| value.clone())
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = named_by_connection(headers)
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        .filter(|name| !KEPT.contains(name))
        .collect();
    for name in named {
        headers.remove(name);
    }
    remove_names(headers, |name| HOP_BY_HOP.contains(&name));
}

fn named_by_connection(headers: &HeaderMap) -> impl Iterator<Item = String> {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase())
}

fn te_is_trailers(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::TE).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case("trailers"))
}

/// Names that a client has no say in. `Proxy` alone would become the variable `HTTP_PROXY` of a CGI program.
fn is_ours_to_say(name: &str) -> bool {
    CLAIMS.contains(&name)
        || name.starts_with("x-forwarded")
        || name == CANDIDATE_HEADER
        || name == REASON_HEADER
        || name == "proxy"
        || name.starts_with("proxy-")
}

/// Removes the names that the rule is for, and their variants with `_`, which many application servers cannot
/// tell from those with `-`. Such a variant of a field with a meaning in HTTP is removed in any case.
fn remove_names(headers: &mut HeaderMap, rule: impl Fn(&str) -> bool) {
    let goes = |name: &HeaderName| {
        let name = name.as_str();
        if !name.contains('_') {
            return rule(name);
        }
        let dashed = name.replace('_', "-");
        rule(&dashed) || HOP_BY_HOP.contains(&dashed.as_str()) || dashed == "content-length"
    };
    let names: Vec<HeaderName> = headers.keys().filter(|name| goes(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// HTTP/2 may split cookies over several fields; HTTP/1 knows one (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() < 2 {
        return;
    }
    if let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

/// The value of `Forwarded` (RFC 7239).
fn forwarded(host: &Host, origin: Origin) -> String {
    let client = match origin.client {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("\"[{ip}]\""),
    };
    format!("for={client};host=\"{}\";proto=http", host.received)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn prepared(fields: &[(&str, &str)], version: Version) -> Vec<String> {
        let mut request = Request::get("/").version(version);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        let host = Host { name: "shop".to_owned(), received: "Shop:80".to_owned() };
        let origin = Origin { client: "192.0.2.7".parse().unwrap(), local: "10.0.0.1:80".parse().unwrap() };
        let upgrade = wanted_upgrade(&parts);
        prepare_request(&mut parts, &host, origin, false, upgrade.as_ref());
        let show =
            |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        let mut shown: Vec<String> = parts.headers.iter().map(show).collect();
        shown.sort();
        shown
    }

    const OURS: [&str; 7] = [
        "forwarded: for=192.0.2.7;host=\"Shop:80\";proto=http",
        "host: Shop:80",
        "x-forwarded-for: 192.0.2.7",
        "x-forwarded-host: Shop:80",
        "x-forwarded-port: 80",
        "x-forwarded-proto: http",
        "x-real-ip: 192.0.2.7",
    ];

    fn with_ours(others: &[&str]) -> Vec<String> {
        let mut all: Vec<String> = OURS.iter().chain(others).map(|line| (*line).to_owned()).collect();
        all.sort();
        all
    }

    #[test]
    fn claims_of_a_client_are_replaced() {
        let claims = [
            ("X-Forwarded-For", "1.2.3.4"),
            ("x-forwarded-for", "5.6.7.8"),
            ("X_Forwarded_For", "1.2.3.4"),
            ("X-Forwarded_Proto", "https"),
            ("X-Forwarded-Prefix", "/admin"),
            ("Forwarded", "for=1.2.3.4"),
            ("X-Real-IP", "1.2.3.4"),
            ("x_real_ip", "1.2.3.4"),
            ("True-Client-IP", "1.2.3.4"),
            ("Connection", "X-Forwarded-For, X-Real-IP, Host"),
            ("Darsena-Candidate", "token"),
            ("darsena_candidate", "token"),
            ("Proxy", "http://evil"),
            ("content_length", "5"),
            ("transfer_encoding", "chunked"),
            ("Host", "Shop:80"),
        ];
        assert_eq!(prepared(&claims, Version::HTTP_11), with_ours(&[]));
    }

    #[test]
    fn hop_by_hop_fields_end_here_and_others_pass() {
        let fields = [
            ("Connection", "close, X-Mine"),
            ("Connection", "X-Other"),
            ("X-Mine", "1"),
            ("X-Other", "2"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Authorization", "Basic x"),
            ("TE", "gzip, trailers"),
            ("Trailer", "X"),
            ("Upgrade", "websocket"),
            ("Authorization", "Bearer t"),
            ("Cookie", "a=1"),
            ("X_Custom", "kept"),
        ];
        let expected =
            with_ours(&["authorization: Bearer t", "cookie: a=1", "te: trailers", "x_custom: kept"]);
        assert_eq!(prepared(&fields, Version::HTTP_11), expected);
    }

    #[test]
    fn an_upgrade_passes_except_to_http2() {
        let websocket = [("Connection", "keep-alive, Upgrade"), ("Upgrade", "websocket")];
        let expected = with_ours(&["connection: upgrade", "upgrade: websocket"]);
        assert_eq!(prepared(&websocket, Version::HTTP_11), expected);
        assert_eq!(prepared(&websocket, Version::HTTP_10), with_ours(&[]));
        for protocol in ["h2c", "websocket, h2c", "H2"] {
            let h2c =
                [("Connection", "upgrade, http2-settings"), ("Upgrade", protocol), ("HTTP2-Settings", "AAM")];
            assert_eq!(prepared(&h2c, Version::HTTP_11), with_ours(&[]));
        }
    }

    #[test]
    fn cookies_of_http2_are_joined() {
        let cookies = [("cookie", "a=1"), ("cookie", "b=2")];
        assert_eq!(prepared(&cookies, Version::HTTP_2), with_ours(&["cookie: a=1; b=2"]));
    }

    #[test]
    fn an_application_cannot_speak_as_the_ingress() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("darsena-ingress", "x"), ("connection", "x-a"), ("x-a", "1"), ("trailer", "x-t")]
        {
            headers.append(name, HeaderValue::from_static(value));
        }
        prepare_response(&mut headers, false);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["trailer"]);
    }
}
