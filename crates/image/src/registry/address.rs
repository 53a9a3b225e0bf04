//! Which addresses are somebody else's on the internet. Everything else is refused when connecting, on the
//! address itself: a name can point anywhere, and somewhere else the next time.

use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

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

/// Whether an address belongs to the internet at large (IANA special-purpose address registries).
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224.., ..)
            | (169, 254, _)
            | (192, 168, _)
            | (172, 16..=31, _)
            | (100, 64..=127, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (198, 18..=19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !is_special
}

/// Only what is given out to networks (2000::/3), without the parts of it that hold IPv4 addresses or are for
/// documents. Addresses that stand for an IPv4 one are judged by that.
fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(v4) = address.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    let segments = address.segments();
    if segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        let [a, b] = segments[6].to_be_bytes();
        let [c, d] = segments[7].to_be_bytes();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    let is_given_out = segments[0] & 0xe000 == 0x2000;
    let is_special = match (segments[0], segments[1]) {
        (0x2001, 0..=0x01ff) | (0x2001, 0x0db8) | (0x2002, _) => true,
        (0x3fff, second) => second < 0x1000,
        _ => false,
    };
    is_given_out && !is_special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_are_public() {
        for address in
            ["1.1.1.1", "140.82.121.33", "2606:4700:4700::1111", "64:ff9b::101:101", "::ffff:8.8.8.8"]
        {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:169.254.169.254",
            "::ffff:10.0.0.1",
            "::7f00:1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

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
