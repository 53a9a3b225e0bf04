//! How many connections there may be. Each one is an open file, and a process may have only so many.

use std::net::{IpAddr, Ipv4Addr};

/// Files that are no connections of people or applications: the control socket, logs, the saved table, refusals
/// under way, and connections that are being closed.
const SET_ASIDE: u64 = 256;

/// An idle connection takes some 20 KiB; more of them than this are memory that the applications need.
const MOST: u64 = 16_384;

/// Connections of one address of the open internet: a whole office behind one router does with less.
const PER_ADDRESS: usize = 1024;

/// Where the control plane's own requests for people's pages come from, which tell whether a deployment succeeds. An
/// address of this host alone that nobody else has a reason to use.
pub(crate) const CHECKS_FROM: Ipv4Addr = Ipv4Addr::new(127, 68, 65, 82);

/// Connections that are kept for them when all others are taken.
const FOR_CHECKS: usize = 16;

/// The limits in number of the proxy. The default is what runs; tests lower it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of clients. When all are taken the one that was idle for longest makes room, and without an idle
    /// one the newcomer is refused with 503.
    pub connections: usize,
    /// Connections of one client, and requests of it at a time: an IPv4 address, or an IPv6 network of 64 bits. An address of a loopback or private
    /// network may be a proxy that asks for many people, and has half of `connections` instead. When all are taken, the
    /// client's own idle connection makes room, or the newcomer is refused with 429.
    pub per_address: usize,
    /// Connections to applications. A request that finds none free waits for one as long as for connecting, and is
    /// refused with 503 then. So is a request at once whose host has as many under way as are free: one application
    /// that hangs takes half of them at most.
    pub to_backends: usize,
}

impl Default for Limits {
    /// As many as the process may open files: half for each side, since a request needs one on both.
    fn default() -> Self {
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        Self::for_files(files.unwrap_or(u64::MAX))
    }
}

impl Limits {
    fn for_files(files: u64) -> Self {
        let half = files.saturating_sub(SET_ASIDE.min(files / 4)) / 2;
        let connections = half.clamp(1, MOST) as usize;
        Self { connections, per_address: PER_ADDRESS, to_backends: connections }
    }

    /// How many connections there may be before this client gets one more.
    pub(crate) fn in_all_for(&self, client: IpAddr) -> usize {
        let kept = if client == CHECKS_FROM { FOR_CHECKS } else { 0 };
        self.connections + kept
    }

    /// How many connections a client may have.
    pub(crate) fn of(&self, client: IpAddr) -> usize {
        let half = (self.connections / 2).max(1);
        if client == CHECKS_FROM {
            return half.max(FOR_CHECKS);
        }
        if may_be_a_proxy(client) { half } else { self.per_address.min(half) }
    }
}

/// Whether an address cannot be of the open internet: loopback, private, link-local, or shared by a provider
/// (RFC 6598).
fn may_be_a_proxy(client: IpAddr) -> bool {
    match client {
        IpAddr::V4(ip) => {
            let is_shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || is_shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_fit_in_the_open_files() {
        for files in [64, 256, 1024, 20_000, 524_288, u64::MAX] {
            let limits = Limits::for_files(files);
            assert!((limits.connections + limits.to_backends) as u64 <= files, "{files}: {limits:?}");
            assert!(limits.connections >= 1 && limits.connections as u64 <= MOST);
        }
        assert_eq!(Limits::for_files(1024).connections, 384);
        assert_eq!(Limits::for_files(20_000).connections, 9872);
    }

    #[test]
    fn an_address_of_a_private_network_may_be_a_proxy() {
        let limits = Limits { connections: 10_000, per_address: 1024, to_backends: 1 };
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.0.1",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
        ] {
            assert_eq!(limits.of(private.parse().unwrap()), 5000, "{private}");
        }
        for public in ["8.8.8.8", "100.128.0.1", "172.32.0.1", "2001:db8::1"] {
            assert_eq!(limits.of(public.parse().unwrap()), 1024, "{public}");
        }
        let few = Limits { connections: 100, ..limits };
        assert_eq!(few.of("8.8.8.8".parse().unwrap()), 50, "nobody has more than half of all");
    }
}
