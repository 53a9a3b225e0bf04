//! Where a server is. Names are looked up here and git is told the result, so that what was checked is what is
//! connected to: a name can point anywhere, and somewhere else the next time.

use std::net::IpAddr;
use std::time::Duration;

use model::GitUrl;
use model::address::is_public;
use model::git::Scheme;
use url::Url;

use super::error::Cause;

/// How long a name may take to be looked up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Servers that the administrator named. Plain http is for those of the first list, private addresses are for both.
#[derive(Clone, Debug, Default)]
pub(super) struct Named {
    insecure: Vec<String>,
    private: Vec<String>,
}

/// A server with the addresses that were found for it and may be asked.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// Without brackets.
    pub name: String,
    pub port: u16,
    /// At least one.
    pub addresses: Vec<IpAddr>,
}

impl Named {
    pub fn new(insecure: &[String], private: &[String]) -> Self {
        let lower = |hosts: &[String]| hosts.iter().map(|host| host.trim().to_ascii_lowercase()).collect();
        Self { insecure: lower(insecure), private: lower(private) }
    }

    fn allows_plain(&self, name: &str, port: u16) -> bool {
        has(&self.insecure, name, port, &[80])
    }

    fn allows_private(&self, name: &str, port: u16) -> bool {
        has(&self.private, name, port, &[443, 22]) || self.allows_plain(name, port)
    }
}

/// Whether a list has a server. An entry without a port stands for these.
fn has(list: &[String], name: &str, port: u16, usual: &[u16]) -> bool {
    let name = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
    let with_port = format!("{name}:{port}");
    list.iter().any(|entry| *entry == with_port || (*entry == name && usual.contains(&port)))
}

impl Server {
    /// Looks up the server of a repository.
    pub async fn of(url: &GitUrl, named: &Named) -> Result<Self, Cause> {
        let usual = match url.scheme() {
            Scheme::Https => 443,
            Scheme::Http => 80,
            Scheme::Ssh => 22,
        };
        let (name, port) = split(url.host(), usual);
        if url.scheme() == Scheme::Http && !named.allows_plain(&name, port) {
            return Err(Cause::Insecure { server: url.host().to_owned() });
        }
        Self::look_up(name, port, named).await
    }

    /// Looks up an ssh server, `HOST[:PORT]`.
    pub async fn of_ssh(host: &str, named: &Named) -> Result<Self, Cause> {
        let (name, port) = split(host, 22);
        Self::look_up(name, port, named).await
    }

    /// Looks up the server of an address of the web.
    pub async fn of_web(url: &Url, named: &Named) -> Result<Self, Cause> {
        let name = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
        let port = url.port_or_known_default().unwrap_or(443);
        let is_secure = url.scheme() == "https";
        let is_plain = url.scheme() == "http" && named.allows_plain(&name, port);
        match (is_secure || is_plain) && !name.is_empty() {
            true => Self::look_up(name, port, named).await,
            false => Err(Cause::Insecure { server: format!("{name}:{port}") }),
        }
    }

    async fn look_up(name: String, port: u16, named: &Named) -> Result<Self, Cause> {
        let unreachable = |reason: String| Cause::Unreachable { server: name.clone(), reason };
        let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((name.clone(), port))).await;
        let found = found.map_err(|_| unreachable("its name could not be looked up in time".to_owned()))?;
        let found: Vec<IpAddr> = match found {
            Ok(found) => found.map(|address| address.ip()).collect(),
            Err(_) => return Err(unreachable("its name is not known".to_owned())),
        };
        let first = *found.first().ok_or_else(|| unreachable("its name has no address".to_owned()))?;
        let may_be_private = named.allows_private(&name, port);
        let addresses: Vec<IpAddr> =
            found.into_iter().filter(|address| may_be_private || is_public(*address)).collect();
        if addresses.is_empty() {
            return Err(Cause::PrivateAddress { server: name, address: first.to_string() });
        }
        Ok(Self { name, port, addresses })
    }

    /// A value of git's `http.curloptResolve`; `None` where the name is an address.
    pub fn curlopt_resolve(&self) -> Option<String> {
        if self.name.parse::<IpAddr>().is_ok() {
            return None;
        }
        let addresses: Vec<String> = self.addresses.iter().map(in_brackets).collect();
        Some(format!("{}:{}:{}", self.name, self.port, addresses.join(",")))
    }
}

fn in_brackets(address: &IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// Takes `HOST[:PORT]` apart. The host of a [`GitUrl`] is one, and so is that of a credential.
fn split(host: &str, usual: u16) -> (String, u16) {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, rest)) => (name, rest.strip_prefix(':')),
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    (name.to_ascii_lowercase(), port.and_then(|port| port.parse().ok()).unwrap_or(usual))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn look(url: &str, named: &Named) -> Result<Server, String> {
        Server::of(&GitUrl::parse(url).unwrap(), named).await.map_err(|cause| cause.to_string())
    }

    #[tokio::test]
    async fn private_addresses_and_plain_http_are_for_whom_the_administrator_named() {
        let nobody = Named::default();
        for url in [
            "https://127.0.0.1/x",
            "https://localhost/x",
            "ssh://git@127.0.0.1:2222/x",
            "https://169.254.169.254/latest",
            "https://[::1]:8443/x",
            "https://0x7f.1/x",
            "https://2130706433/x",
        ] {
            let error = look(url, &nobody).await.unwrap_err();
            assert!(error.contains("private address") || error.contains("not known"), "{url}: {error}");
        }
        let error = look("http://1.1.1.1/x", &nobody).await.unwrap_err();
        assert!(error.contains("without https"), "{error}");

        let named = Named::new(
            &["127.0.0.1:3000".to_owned()],
            &["127.0.0.2:8443".to_owned(), "127.0.0.3".to_owned(), "[::1]:8443".to_owned()],
        );
        for url in [
            "http://127.0.0.1:3000/x",
            "https://127.0.0.2:8443/x",
            "https://127.0.0.3/x",
            "ssh://127.0.0.3/x",
            "https://[::1]:8443/x",
        ] {
            look(url, &named).await.unwrap();
        }
        for url in ["http://127.0.0.1:3001/x", "http://127.0.0.2:8443/x", "https://127.0.0.3:8443/x"] {
            look(url, &named).await.unwrap_err();
        }
    }

    #[test]
    fn curl_is_told_every_address() {
        let server = |name: &str| Server {
            name: name.to_owned(),
            port: 443,
            addresses: vec!["1.1.1.1".parse().unwrap(), "2606:4700::1".parse().unwrap()],
        };
        let expected = "git.example.com:443:1.1.1.1,[2606:4700::1]";
        assert_eq!(server("git.example.com").curlopt_resolve().as_deref(), Some(expected));
        assert_eq!(server("1.1.1.1").curlopt_resolve(), None);
    }
}
