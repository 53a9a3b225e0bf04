//! What the ingress answers by itself.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

/// Marks an answer of the ingress, with the [`Reason`] as its value. An application cannot send it.
pub(crate) const REASON_HEADER: &str = "darsena-ingress";

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $word:literal $status:ident $sentence:literal,)*) => {
        /// Why the ingress answered in the application's place.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Reason {
            $($(#[$doc])* $variant,)*
        }

        impl Reason {
            /// The value of the header `darsena-ingress`.
            pub fn as_str(self) -> &'static str {
                match self { $(Reason::$variant => $word,)* }
            }

            /// The answer's status.
            pub fn status(self) -> StatusCode {
                match self { $(Reason::$variant => StatusCode::$status,)* }
            }

            /// What the page says.
            pub fn sentence(self) -> &'static str {
                match self { $(Reason::$variant => $sentence,)* }
            }
        }
    };
}

reasons! {
    /// Missing, doubled, contradicting or impossible host; a framing that is not whole.
    BadRequest = "bad-request" BAD_REQUEST "This request is not valid HTTP.",
    /// CONNECT: this is no forward proxy.
    MethodRefused = "method-refused" METHOD_NOT_ALLOWED "This method is not served here.",
    /// The client stopped sending its request.
    RequestTimeout = "request-timeout" REQUEST_TIMEOUT "The request did not arrive in time.",
    UnknownHost = "unknown-host" NOT_FOUND "There is no application at this address.",
    UnknownCandidate = "unknown-candidate" NOT_FOUND "There is no such candidate.",
    Suspended = "suspended" SERVICE_UNAVAILABLE "This application is suspended.",
    Starting = "starting" SERVICE_UNAVAILABLE "This application is starting. Try again in a moment.",
    NoBackend = "no-backend" SERVICE_UNAVAILABLE "This application is not running.",
    /// All connections are taken and none of them idles, or a host has its share of those to applications.
    Busy = "busy" SERVICE_UNAVAILABLE "There are too many connections. Try again in a moment.",
    /// The same for the connections of one client.
    TooMany = "too-many" TOO_MANY_REQUESTS "There are too many connections from this address.",
    /// An `Expect` that is not `100-continue`.
    Expectation = "expectation" EXPECTATION_FAILED "What this request expects is not served here.",
    /// Nothing listens at the backend's port.
    Refused = "refused" BAD_GATEWAY "The application does not accept connections.",
    Unreachable = "unreachable" BAD_GATEWAY "The application cannot be reached.",
    /// The backend hung up before it answered.
    Closed = "closed" BAD_GATEWAY "The application ended the connection without an answer.",
    /// What the backend sent is no HTTP/1 answer.
    BadAnswer = "bad-answer" BAD_GATEWAY "The application gave an answer that is not valid HTTP.",
    ConnectTimeout = "connect-timeout" GATEWAY_TIMEOUT "The application did not accept the connection in time.",
    AnswerTimeout = "answer-timeout" GATEWAY_TIMEOUT "The application did not answer in time.",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A small page: HTML for who asks for it, a line of text for everybody else. Nothing of the request is in it.
pub(crate) fn page(reason: Reason, wants_html: bool) -> Response<Full<Bytes>> {
    let status = reason.status();
    let (kind, text) = match wants_html {
        true => ("text/html; charset=utf-8", html(reason)),
        false => ("text/plain; charset=utf-8", format!("{}\n", reason.sentence())),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(REASON_HEADER, HeaderValue::from_static(reason.as_str()));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if matches!(reason, Reason::Starting | Reason::Busy | Reason::TooMany) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if reason == Reason::MethodRefused {
        headers
            .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    }
    response
}

/// The answer to a connection on which no request is read, byte by byte.
pub(crate) fn to_connection(reason: Reason) -> Vec<u8> {
    let status = reason.status();
    let sentence = reason.sentence();
    let length = sentence.len() + 1;
    format!(
        "HTTP/1.1 {status}\r\n{REASON_HEADER}: {reason}\r\ncontent-type: text/plain; charset=utf-8\r\n\
         cache-control: no-store\r\nretry-after: 1\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n\
         {sentence}\n"
    )
    .into_bytes()
}

/// Whether a person with a browser asks.
pub(crate) fn wants_html(request: &HeaderMap) -> bool {
    let accept = request.get(header::ACCEPT).map(HeaderValue::as_bytes).unwrap_or_default();
    accept.windows(9).any(|window| window.eq_ignore_ascii_case(b"text/html"))
}

fn html(reason: Reason) -> String {
    let code = reason.status().as_u16();
    let sentence = reason.sentence();
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{code}</title>\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <style>body{{font:1.1rem/1.5 system-ui,sans-serif;margin:20vh auto;max-width:32rem;padding:0 1rem}}\
         p:last-child{{color:#767676}}</style></head>\
         <body><h1>{code}</h1><p>{sentence}</p><p>Darsena</p></body></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_html_only_for_who_asks() {
        let mut request = HeaderMap::new();
        assert!(!wants_html(&request));
        request.insert(header::ACCEPT, HeaderValue::from_static("application/xhtml+xml,Text/HTML;q=0.9"));
        assert!(wants_html(&request));

        let text = page(Reason::UnknownHost, false);
        assert_eq!(text.headers()[header::CONTENT_TYPE], "text/plain; charset=utf-8");
        assert_eq!(text.status(), 404);
        let html = page(Reason::Starting, true);
        assert_eq!(html.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(html.headers()[REASON_HEADER], "starting");
        assert_eq!(html.headers()[header::RETRY_AFTER], "1");
        assert_eq!(html.status(), 503);
    }
}
