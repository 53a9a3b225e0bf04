//! Which addresses are somebody else's on the internet. Everything else is refused when connecting, on the
//! address itself: a name can point anywhere, and somewhere else the next time.

use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use model::address::is_public;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// A host whose every address is private.
#[derive(Debug)]
pub(super) struct Private {
    pub host: String,
    pub address: IpAddr,
}

impl fmt::Display for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is at the private address {}", self.host, self.address)
    }
}

impl Error for Private {}

/// Resolves names, and leaves private addresses out.
#[derive(Clone, Debug)]
pub(super) struct PublicOnly {
    /// Hosts of proxies that the administrator set; they are often in the private network.
    proxies: Arc<HashSet<String>>,
}

impl PublicOnly {
    pub fn new(proxies: HashSet<String>) -> Self {
        Self { proxies: Arc::new(proxies) }
    }

    /// Refuses what is a private address without any name to resolve, and a proxy as a registry.
    pub fn check(&self, url: &Url) -> Result<(), Private> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(host)) if self.proxies.contains(host) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            _ => return Ok(()),
        };
        if is_public(address) {
            return Ok(());
        }
        Err(Private { host: url.host_str().unwrap_or_default().to_owned(), address })
    }
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let is_proxy = self.proxies.contains(name.as_str());
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let first = found.first().map(SocketAddr::ip);
            let public: Vec<SocketAddr> =
                found.into_iter().filter(|address| is_proxy || is_public(address.ip())).collect();
            match first {
                Some(address) if public.is_empty() => {
                    Err(Box::new(Private { host: name.as_str().to_owned(), address }).into())
                }
                _ => Ok(Box::new(public.into_iter()) as Addrs),
            }
        })
    }
}

/// A host that is not this machine, where only this machine may be asked.
#[derive(Debug)]
pub(super) struct NotLoopback;

impl fmt::Display for NotLoopback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is not on this machine")
    }
}

impl Error for NotLoopback {}

/// Resolves names of this machine, and no others.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoopbackOnly;

impl LoopbackOnly {
    /// Whether an address is of this machine by itself; `None` when that depends on what its name resolves to.
    pub fn knows(url: &Url) -> Option<bool> {
        match url.host()? {
            Host::Ipv4(address) => Some(address.is_loopback()),
            Host::Ipv6(address) => Some(address.is_loopback()),
            Host::Domain("localhost") => Some(true),
            Host::Domain(_) => None,
        }
    }

    /// Every address of a name, which must all be of this machine.
    async fn lookup(name: &str, port: u16) -> Result<Vec<SocketAddr>, Box<dyn Error + Send + Sync>> {
        let found: Vec<SocketAddr> = tokio::net::lookup_host((name, port)).await?.collect();
        match found.iter().all(|address| address.ip().is_loopback()) {
            true => Ok(found),
            false => Err(NotLoopback.into()),
        }
    }

    /// Whether the host of an address is this machine, as far as can be said before connecting.
    pub async fn is_here(url: &Url) -> bool {
        match (Self::knows(url), url.host_str()) {
            (Some(known), _) => known,
            (None, Some(name)) => Self::lookup(name, 0).await.is_ok_and(|found| !found.is_empty()),
            (None, None) => false,
        }
    }
}

impl Resolve for LoopbackOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move { Ok(Box::new(Self::lookup(name.as_str(), 0).await?.into_iter()) as Addrs) })
    }
}

/// Hosts in the usual proxy variables.
pub(super) fn proxy_hosts(variables: impl Iterator<Item = (String, String)>) -> HashSet<String> {
    variables
        .filter(|(name, _)| matches!(&*name.to_ascii_lowercase(), "http_proxy" | "https_proxy" | "all_proxy"))
        .filter_map(|(_, value)| {
            let url = Url::parse(&value).ok().filter(Url::has_host);
            url.or_else(|| Url::parse(&format!("http://{value}")).ok())?.host_str().map(str::to_owned)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_from_the_usual_variables() {
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let hosts = proxy_hosts(
            [
                variable("HTTPS_PROXY", "http://user:pass@proxy.lan:3128"),
                variable("http_proxy", "plain.lan:8080"),
                variable("NO_PROXY", "other.lan"),
            ]
            .into_iter(),
        );
        assert_eq!(hosts, HashSet::from(["proxy.lan".to_owned(), "plain.lan".to_owned()]));
    }
}
