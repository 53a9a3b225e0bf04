//! Health probes: what one may say. Every bound is there so that no deployment waits for ever, and so that what is
//! sent to a container is one request and nothing else.

use http::{HeaderName, HeaderValue, header};
use wire::{ExecProbe, HttpGetProbe, Probe, ProbeHeader, TcpSocketProbe};

use crate::check;
use crate::error::ApiError;

/// Longest delay, pause and timeout, in seconds; also the longest that failures may add up to.
const MOST_SECONDS: u32 = 3600;
const MOST_ATTEMPTS: u32 = 100;
const MOST_HEADERS: usize = 20;
const MOST_PATH: usize = 1024;
const MOST_WORDS: usize = 64;
const MOST_COMMAND: usize = 8192;

/// Headers that say where a request goes and where it ends: the platform writes those.
const OWN_HEADERS: [HeaderName; 7] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::EXPECT,
    header::TRAILER,
];

/// Refuses what cannot be carried out, under the name of the field.
pub fn check(field: &str, probe: &Probe) -> Result<(), ApiError> {
    match (&probe.exec, &probe.http_get, &probe.tcp_socket) {
        (Some(exec), None, None) => check_exec(&format!("{field}.exec"), exec)?,
        (None, Some(http), None) => check_http(&format!("{field}.httpGet"), http)?,
        (None, None, Some(tcp)) => check_tcp(&format!("{field}.tcpSocket"), tcp)?,
        _ => return Err(ApiError::invalid(field, "a probe is exactly one of exec, httpGet and tcpSocket")),
    }
    check_timings(field, probe)
}

/// What a probe has that does not say.
const DEFAULT_PERIOD: u32 = 10;
const DEFAULT_FAILURES: u32 = 3;

fn check_timings(field: &str, probe: &Probe) -> Result<(), ApiError> {
    for (name, value, least, most) in [
        ("initialDelaySeconds", probe.initial_delay_seconds, 0, MOST_SECONDS),
        ("periodSeconds", probe.period_seconds, 1, MOST_SECONDS),
        ("timeoutSeconds", probe.timeout_seconds, 1, MOST_SECONDS),
        ("successThreshold", probe.success_threshold, 1, MOST_ATTEMPTS),
        ("failureThreshold", probe.failure_threshold, 1, MOST_ATTEMPTS),
    ] {
        if let Some(value) = value {
            check::range(&format!("{field}.{name}"), value, least, most)?;
        }
    }
    let (period, failures) = (probe.period_seconds, probe.failure_threshold);
    let patience = period.unwrap_or(DEFAULT_PERIOD) * failures.unwrap_or(DEFAULT_FAILURES);
    match patience > MOST_SECONDS {
        true => Err(ApiError::invalid(
            &format!("{field}.failureThreshold"),
            format!("periodSeconds times failureThreshold is {patience} s; {MOST_SECONDS} s are allowed"),
        )),
        false => Ok(()),
    }
}

fn check_http(field: &str, http: &HttpGetProbe) -> Result<(), ApiError> {
    if http.scheme.as_deref().is_some_and(|scheme| scheme != "HTTP") {
        let problem = "probes are made over HTTP, inside the machine; leave the scheme out, or use tcpSocket";
        return Err(ApiError::invalid(&format!("{field}.scheme"), problem));
    }
    if let Some(port) = http.port {
        check::range(&format!("{field}.port"), port, 1, u16::MAX)?;
    }
    if let Some(path) = &http.path {
        check_path(&format!("{field}.path"), path)?;
    }
    if let Some(host) = &http.host {
        let field = format!("{field}.host");
        check::length(&field, host, 1, 255)?;
        if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte)) {
            return Err(ApiError::invalid(&field, "it must be a host name, with a port if need be"));
        }
    }
    if let Some(status) = http.expected_status {
        check::range(&format!("{field}.expectedStatus"), status, 100, 599)?;
    }
    check_headers(&format!("{field}.httpHeaders"), http.http_headers.as_deref().unwrap_or_default())
}

/// A path as it stands in a request: visible ASCII, with everything else as `%XX`.
fn check_path(field: &str, path: &str) -> Result<(), ApiError> {
    check::length(field, path, 1, MOST_PATH)?;
    if !path.starts_with('/') {
        return Err(ApiError::invalid(field, "it must begin with /"));
    }
    match path.chars().find(|c| !c.is_ascii_graphic() || *c == '#') {
        Some(bad) => Err(ApiError::invalid(field, format!("it cannot hold {bad:?}; write it as %XX"))),
        None => Ok(()),
    }
}

fn check_headers(field: &str, headers: &[ProbeHeader]) -> Result<(), ApiError> {
    if headers.len() > MOST_HEADERS {
        return Err(ApiError::invalid(field, format!("{MOST_HEADERS} headers are allowed")));
    }
    for ProbeHeader { name, value } in headers {
        let known = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| ApiError::invalid(field, format!("{name:?} is no name of a header")))?;
        if known == header::HOST {
            return Err(ApiError::invalid(field, "the Host header is set by httpGet.host"));
        }
        if OWN_HEADERS.contains(&known) {
            return Err(ApiError::invalid(field, format!("{known} is written by the platform")));
        }
        // A value may be a token, so it is not repeated.
        check::length(field, value, 0, MOST_COMMAND)?;
        if HeaderValue::from_str(value).is_err() {
            let problem = format!("the value of {known} holds a character that no header can");
            return Err(ApiError::invalid(field, problem));
        }
    }
    Ok(())
}

fn check_tcp(field: &str, tcp: &TcpSocketProbe) -> Result<(), ApiError> {
    check::range(&format!("{field}.port"), tcp.port, 1, u16::MAX)?;
    match tcp.host.as_deref().is_some_and(|host| !host.is_empty()) {
        true => Err(ApiError::invalid(
            &format!("{field}.host"),
            "a probe goes to its container; leave the host out",
        )),
        false => Ok(()),
    }
}

fn check_exec(field: &str, exec: &ExecProbe) -> Result<(), ApiError> {
    let field = format!("{field}.command");
    if exec.command.first().is_none_or(String::is_empty) {
        return Err(ApiError::invalid(&field, "it needs a program and its arguments, one text each"));
    }
    if exec.command.len() > MOST_WORDS || exec.command.iter().map(String::len).sum::<usize>() > MOST_COMMAND {
        let problem = format!("{MOST_WORDS} texts of {MOST_COMMAND} bytes in all are allowed");
        return Err(ApiError::invalid(&field, problem));
    }
    exec.command.iter().try_for_each(|word| check::no_nul(&field, word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(probe: serde_json::Value) -> Result<(), String> {
        let probe: Probe = serde_json::from_value(probe).map_err(|error| error.to_string())?;
        check("readiness_probe", &probe).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn what_can_be_carried_out_is_taken() {
        use serde_json::json;
        for good in [
            json!({"httpGet": {}}),
            json!({"httpGet": {"path": "/up?full=1&x=%20", "port": 1, "scheme": "HTTP", "expectedStatus": 204}}),
            json!({"httpGet": {"host": "shop.example.com:80", "httpHeaders": [{"name": "X-A", "value": "b c"}]}}),
            json!({"tcpSocket": {"port": 65535, "host": ""}, "periodSeconds": 36, "failureThreshold": 100}),
            json!({"exec": {"command": ["/bin/check", "", "a b"]}, "initialDelaySeconds": 0}),
        ] {
            assert_eq!(checked(good.clone()), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_cannot_is_refused_under_its_name() {
        use serde_json::json;
        let header =
            |name: &str, value: &str| json!({"httpGet": {"httpHeaders": [{"name": name, "value": value}]}});
        let timed = |name: &str, value: u32| json!({"tcpSocket": {"port": 1}, name: value});
        for (bad, words) in [
            (json!({}), "exactly one"),
            (json!({"httpGet": {}, "tcpSocket": {"port": 1}}), "exactly one"),
            (json!({"httpGet": {"scheme": "HTTPS"}}), "probes are made over HTTP"),
            (json!({"httpGet": {"port": 0}}), "httpGet.port"),
            (json!({"httpGet": {"port": 70_000}}), "70000"),
            (json!({"httpGet": {"path": "up"}}), "begin with /"),
            (json!({"httpGet": {"path": ""}}), "httpGet.path"),
            (json!({"httpGet": {"path": "/a b"}}), "%XX"),
            (json!({"httpGet": {"path": "/a\r\nx: y"}}), "%XX"),
            (json!({"httpGet": {"path": "/a#b"}}), "%XX"),
            (json!({"httpGet": {"path": format!("/{}", "a".repeat(1024))}}), "1024"),
            (json!({"httpGet": {"host": "a b"}}), "host name"),
            (json!({"httpGet": {"host": "a/b"}}), "host name"),
            (json!({"httpGet": {"expectedStatus": 99}}), "100 to 599"),
            (json!({"httpGet": {"expectedStatus": 600}}), "100 to 599"),
            (header("a b", "c"), "no name of a header"),
            (header("", "c"), "no name of a header"),
            (header("x-a", "b\r\nc: d"), "no header can"),
            (header("HOST", "a"), "httpGet.host"),
            (header("Content-Length", "5"), "written by the platform"),
            (json!({"tcpSocket": {"port": 0}}), "tcpSocket.port"),
            (json!({"tcpSocket": {"port": 1, "host": "10.0.0.1"}}), "leave the host out"),
            (json!({"exec": {"command": []}}), "needs a program"),
            (json!({"exec": {"command": ["", "a"]}}), "needs a program"),
            (json!({"exec": {"command": ["a", "b\u{0}"]}}), "NUL"),
            (json!({"exec": {"command": vec!["a"; 65]}}), "64 texts"),
            (timed("initialDelaySeconds", 3601), "3600"),
            (timed("periodSeconds", 0), "periodSeconds"),
            (timed("timeoutSeconds", u32::MAX), "timeoutSeconds"),
            (timed("successThreshold", 101), "successThreshold"),
            (timed("failureThreshold", 0), "failureThreshold"),
            (
                json!({"tcpSocket": {"port": 1}, "periodSeconds": 37, "failureThreshold": 100}),
                "3700 s; 3600 s are allowed",
            ),
        ] {
            let refused = checked(bad.clone()).expect_err(&bad.to_string());
            assert!(refused.contains(words), "{bad}: {refused}");
        }
        let secret = checked(header("authorization", "canary\n")).unwrap_err();
        assert!(!secret.contains("canary"), "{secret}");
    }
}
