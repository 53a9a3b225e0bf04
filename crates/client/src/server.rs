//! Which server, and over what.

use std::fmt;

use url::{Host, Url};

use crate::Error;

/// Where a server may be spoken to without encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainHttp {
    /// Only where nothing leaves the machine: `localhost` and the loopback addresses.
    LoopbackOnly,
    /// Anywhere: the caller knows that the network in between is private.
    Anywhere,
}

/// The address of a Darsena server, checked: scheme, host and port, without `/v3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    base: Url,
}

impl Server {
    /// Reads an address as people write it: `http://127.0.0.1:7300`, with or without a final `/` or `/v3`.
    pub fn parse(text: &str, plain_http: PlainHttp) -> Result<Self, Error> {
        let bad = |why: &str| Error::Address { text: text.to_owned(), why: why.to_owned() };
        let mut base =
            Url::parse(text.trim()).map_err(|_| bad("it has to look like http://127.0.0.1:7300"))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(bad("it has to begin with http:// or https://"));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(Error::Address {
                text: base.host_str().unwrap_or_default().to_owned(),
                why: "it cannot hold a user name or password; the key goes into DARSENA_TOKEN".to_owned(),
            });
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(bad("it cannot hold ? or #"));
        }
        if base.scheme() == "http" && plain_http == PlainHttp::LoopbackOnly && !is_loopback(&base) {
            return Err(Error::PlainHttp { host: base.host_str().unwrap_or_default().to_owned() });
        }
        let path = base.path().trim_end_matches('/');
        let path = path.strip_suffix("/v3").unwrap_or(path).to_owned();
        base.set_path(&path);
        Ok(Self { base })
    }

    /// Whether the server is on this very machine.
    pub fn is_local(&self) -> bool {
        is_loopback(&self.base)
    }

    /// The address of an operation: `/v3` and these segments, each of them escaped.
    pub(crate) fn operation(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("v3").extend(segments);
        }
        url
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.base.scheme() == "http"
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.base.as_str().trim_end_matches('/'))
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, Error> {
        Server::parse(text, PlainHttp::LoopbackOnly).map(|server| server.to_string())
    }

    #[test]
    fn an_address_is_read_as_people_write_it() {
        for text in [
            "http://127.0.0.1:7300",
            "http://127.0.0.1:7300/",
            "http://127.0.0.1:7300/v3",
            " http://127.0.0.1:7300/v3/ ",
        ] {
            assert_eq!(parse(text).unwrap(), "http://127.0.0.1:7300", "{text}");
        }
        assert_eq!(parse("https://d.example.com/darsena/v3").unwrap(), "https://d.example.com/darsena");
    }

    #[test]
    fn an_operation_escapes_its_segments() {
        let server = Server::parse("http://localhost:1/", PlainHttp::LoopbackOnly).unwrap();
        let url = server.operation(&["applications", "a/../b?c"]);
        assert_eq!(url.as_str(), "http://localhost:1/v3/applications/a%2F..%2Fb%3Fc");
    }

    #[test]
    fn plain_http_goes_to_this_machine_only() {
        for near in ["http://localhost:1", "http://127.9.9.9", "http://[::1]:7300"] {
            assert!(parse(near).is_ok(), "{near}");
        }
        for far in [
            "http://example.com",
            "http://localhost.example.com",
            "http://10.0.0.1",
            "http://127.0.0.1.example",
        ] {
            assert!(matches!(parse(far), Err(Error::PlainHttp { .. })), "{far}");
            assert!(Server::parse(far, PlainHttp::Anywhere).is_ok(), "{far}");
        }
        assert!(parse("https://example.com").is_ok());
    }

    #[test]
    fn what_is_no_address_is_refused_and_a_password_is_not_repeated() {
        for bad in ["", "127.0.0.1:7300", "ftp://localhost", "http://localhost/?a", "localhost"] {
            assert!(matches!(parse(bad), Err(Error::Address { .. })), "{bad}");
        }
        let refused = parse("https://me:canary@example.com").unwrap_err();
        assert!(!format!("{refused} {refused:?}").contains("canary"));
    }
}
