//! Which addresses a network namespace listens on, from the kernel's own list (proc_net(5), `tcp`). Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const LISTEN: &str = "0A";

/// The listening addresses in the text of `/proc/<pid>/net/tcp` or `tcp6`.
pub(super) fn parse(table: &str) -> Vec<SocketAddr> {
    table.lines().skip(1).filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<SocketAddr> {
    let mut fields = line.split_whitespace();
    let local = fields.nth(1)?;
    let state = fields.nth(1)?;
    if state != LISTEN {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(SocketAddr::new(parse_address(address)?, port))
}

/// Every 32 bits are printed as one number in the machine's byte order.
fn parse_address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0; 16];
            for part in 0..4 {
                bytes[part * 4..part * 4 + 4].copy_from_slice(&word(part * 8)?);
            }
            Some(Ipv6Addr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_sockets_are_found_among_others() {
        let tcp = "  sl  local_address rem_address   st tx_queue\n\
                      0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000\n\
                      1: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000\n\
                      2: 0200E00A:1F90 0100E00A:D431 01 00000000:00000000 00:00000000\n";
        let found = parse(tcp);
        assert_eq!(found, ["127.0.0.1:3000".parse().unwrap(), "0.0.0.0:8080".parse().unwrap()]);
        let tcp6 = "  sl  local_address\n\
                      0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A\n\
                      1: 0000000000000000FFFF00000100007F:0051 00000000000000000000000000000000:0000 0A\n";
        assert_eq!(parse(tcp6), ["[::1]:80".parse().unwrap(), "127.0.0.1:81".parse().unwrap()]);
    }
}
