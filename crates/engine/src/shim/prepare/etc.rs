//! The three files of `/etc` that every container is given.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::EngineError;
use crate::error::Doing;
use crate::folders::make_private;

pub(super) const NAMES: [&str; 3] = ["hosts", "hostname", "resolv.conf"];

/// Where systemd-resolved writes the servers that it asks itself.
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

/// Writes the files into `folder`, from where they are mounted read-only.
pub(super) fn write(folder: &Path, hostname: &str, address: Ipv4Addr) -> Result<(), EngineError> {
    let contents = [
        format!("127.0.0.1\tlocalhost\n{address}\t{hostname}\n"),
        format!("{hostname}\n"),
        resolv_conf_here(),
    ];
    let doing = || format!("writing {}", folder.display());
    make_private(folder).doing(doing)?;
    for (name, content) in NAMES.iter().zip(contents) {
        let file = folder.join(name);
        fs::write(&file, content).doing(doing)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).doing(doing)?;
    }
    Ok(())
}

/// The `resolv.conf` of whatever is connected as a container is, as the host's files stand now.
pub(crate) fn resolv_conf_here() -> String {
    let host = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let resolved = fs::read_to_string(RESOLVED).unwrap_or_default();
    resolv_conf(&host, &resolved)
}

/// The host's file when a container can reach a server that it names, else the one behind the host's local
/// resolver. Servers on the host's own loopback are left out: in a container that is another loopback.
fn resolv_conf(host: &str, resolved: &str) -> String {
    let kept = |text: &str| {
        let lines = text.lines().filter(|line| !names_unreachable_server(line));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    let has_server = |text: &str| text.lines().any(|line| server(line).is_some());
    let (host, resolved) = (kept(host), kept(resolved));
    match (has_server(&host), has_server(&resolved)) {
        (true, _) => host,
        (false, true) => resolved,
        (false, false) => {
            "# The host asks only a name server on its own loopback address, which no container \
                           can reach.\n# Name another one in the host's /etc/resolv.conf.\n"
                .to_owned()
        }
    }
}

fn server(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    (words.next() == Some("nameserver")).then(|| words.next()).flatten()
}

/// IPv6 is off in containers.
fn names_unreachable_server(line: &str) -> bool {
    server(line).is_some_and(|address| match address.parse() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_link_local(),
        Ok(IpAddr::V6(_)) | Err(_) => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_told_of_servers_that_it_can_reach() {
        let stub = "nameserver 127.0.0.53\noptions edns0\n";
        let upstream = "# by resolved\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\nsearch example.org\n";
        assert_eq!(resolv_conf("nameserver 10.1.1.1\nnameserver ::1\n", upstream), "nameserver 10.1.1.1\n");
        assert_eq!(resolv_conf(stub, upstream), "# by resolved\nnameserver 192.0.2.53\nsearch example.org\n");
        assert!(resolv_conf(stub, "").starts_with("# The host asks only"));
        assert!(resolv_conf("", "nameserver 127.0.0.1\n").starts_with("# The host asks only"));
    }
}
