//! Which addresses containers have. Pure.
//!
//! Every installation has one of the 256 networks of 4096 addresses in 10.224.0.0/12, and a container has four
//! addresses of it, of which it uses one and the host another. No bridge: containers share no wire.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

const BASE: u32 = u32::from_be_bytes([10, 224, 0, 0]);
const SUBNETS: u32 = 256;
/// Prefix length of an installation's network, and of a container's.
pub(crate) const SUBNET_PREFIX: u8 = 20;
pub(crate) const LINK_PREFIX: u8 = 30;
const LINKS: u16 = 1 << (LINK_PREFIX - SUBNET_PREFIX);

/// The network of one installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subnet {
    pub first: Ipv4Addr,
}

/// The connection of one container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Link {
    /// Lowest free number when it was made.
    pub index: u16,
    /// The host's end.
    pub gateway: Ipv4Addr,
    /// The container's end.
    pub address: Ipv4Addr,
}

impl Subnet {
    /// The networks that overlap none of `taken` (address, prefix length), counted from one that follows from
    /// `instance` (8 hex digits).
    pub fn candidates(instance: &str, taken: &[(Ipv4Addr, u8)]) -> impl Iterator<Item = Self> {
        let start = u32::from_str_radix(instance, 16).unwrap_or(0);
        let candidate = move |n: u32| {
            let number = (start.wrapping_add(n)) % SUBNETS;
            Subnet { first: (BASE + (number << (32 - SUBNET_PREFIX))).into() }
        };
        (0..SUBNETS)
            .map(candidate)
            .filter(|subnet| !taken.iter().any(|other| overlap((subnet.first, SUBNET_PREFIX), *other)))
    }

    /// The lowest connection whose number is not `taken`; `None` when all 1024 are.
    pub fn free_link(self, taken: &[u16]) -> Option<Link> {
        let index = (0..LINKS).find(|index| !taken.contains(index))?;
        let first = u32::from(self.first) + (u32::from(index) << (32 - LINK_PREFIX));
        Some(Link { index, gateway: (first + 1).into(), address: (first + 2).into() })
    }
}

fn overlap(a: (Ipv4Addr, u8), b: (Ipv4Addr, u8)) -> bool {
    let prefix = a.1.min(b.1).min(32);
    let mask = u32::MAX.checked_shl(u32::from(32 - prefix)).unwrap_or(0);
    u32::from(a.0) & mask == u32::from(b.0) & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(instance: &str, taken: &[([u8; 4], u8)]) -> Option<Ipv4Addr> {
        let taken: Vec<_> = taken.iter().map(|(address, prefix)| ((*address).into(), *prefix)).collect();
        Some(Subnet::candidates(instance, &taken).next()?.first)
    }

    #[test]
    fn a_network_that_is_in_use_is_passed_over() {
        assert_eq!(chosen("00000000", &[]), Some([10, 224, 0, 0].into()));
        assert_eq!(chosen("000000ff", &[]), Some([10, 239, 240, 0].into()));
        assert_eq!(chosen("00000001", &[([10, 224, 17, 9], 24)]), Some([10, 224, 32, 0].into()));
        assert_eq!(
            chosen("000000ff", &[([10, 239, 240, 1], 30), ([192, 0, 2, 1], 24)]),
            Some([10, 224, 0, 0].into())
        );
        assert_eq!(chosen("00000000", &[([10, 224, 0, 1], 13)]), Some([10, 232, 0, 0].into()));
        assert_eq!(chosen("00000000", &[([10, 0, 0, 1], 8)]), None);
    }

    #[test]
    fn a_container_has_the_lowest_free_connection() {
        let subnet = Subnet { first: [10, 224, 16, 0].into() };
        let link = subnet.free_link(&[0, 1, 3]).unwrap();
        assert_eq!(
            link,
            Link { index: 2, gateway: [10, 224, 16, 9].into(), address: [10, 224, 16, 10].into() }
        );
        let all: Vec<u16> = (0..LINKS).collect();
        assert_eq!(subnet.free_link(&all), None);
        assert_eq!(subnet.free_link(&all[..1023]).unwrap().address, Ipv4Addr::new(10, 224, 31, 254));
    }
}
