//! What this machine offers for running containers.

use std::fs;
use std::path::{Path, PathBuf};

use super::Local;
use super::{firewall, host, runtime};
use crate::Check;
use crate::cgroup::{self, Hierarchy};

/// The oldest kernel that this is made for, that of Debian 12.
const KERNEL: (u32, u32) = (6, 1);

impl Local {
    async fn check_runtime(&self) -> Check {
        let found = match self.runtime_path() {
            Ok(path) => runtime::look_at(&path).await.map(|version| format!("{}: {version}", path.display())),
            Err(error) => Err(error),
        };
        let ok = found.is_ok();
        let detail = found.unwrap_or_else(|error| error.to_string());
        result("runtime", ok, detail, "install it: apt install runc")
    }

    /// See [`Engine::check`](crate::Engine::check).
    pub(super) async fn check_machine(&self) -> Vec<Check> {
        let hierarchies = cgroup::hierarchies().unwrap_or_default();
        let mut checks = vec![check_root(), check_kernel(), check_overlay(), check_data(&self.config.data)];
        checks.push(self.check_runtime().await);
        checks.push(check_nft(firewall::find_nft()).await);
        checks.extend(check_cgroups(&hierarchies));
        checks.push(check_forwarding());
        checks
    }
}

fn result(name: &str, ok: bool, detail: impl Into<String>, hint: &str) -> Check {
    let hint = (!ok).then(|| hint.to_owned());
    Check { name: name.to_owned(), ok, detail: detail.into(), hint }
}

fn check_root() -> Check {
    let uid = nix::unistd::geteuid();
    result("root", uid.is_root(), format!("user id {uid}"), "run `darsena serve` as root")
}

fn check_kernel() -> Check {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let ok = kernel_version(release).is_some_and(|version| version >= KERNEL);
    result("kernel", ok, release, "Linux 6.1 or later is needed, as in Debian 12")
}

fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(['.', '-']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The module is loaded by the first mount.
fn check_overlay() -> Check {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let module = Path::new("/lib/modules").join(release.trim()).join("kernel/fs/overlayfs");
    let is_known = known.lines().any(|line| line.ends_with("\toverlay"));
    let detail = match (is_known, module.is_dir()) {
        (true, _) => "in the kernel",
        (false, true) => "a module, loaded when it is needed",
        (false, false) => "not there",
    };
    result("overlayfs", is_known || module.is_dir(), detail, "use a kernel with overlayfs")
}

/// A writable layer cannot lie on every file system (Documentation/filesystems/overlayfs.rst, "Upper and
/// Lower"). Numbers of `statfs` are those of linux/magic.h.
fn check_data(data: &Path) -> Check {
    const UNFIT: [(u32, &str); 4] =
        [(0x794c_7630, "an overlay"), (0x6969, "NFS"), (0x6573_5546, "FUSE"), (0x4d44, "FAT")];
    let hint = "put the data folder on a local file system such as ext4 or XFS";
    // Before the first container there is no such folder.
    let place = data.ancestors().find(|path| path.exists()).unwrap_or(data);
    let kind = match rustix::fs::statfs(place) {
        Ok(status) => status.f_type as u32,
        Err(error) => return result("data folder", false, format!("{}: {error}", data.display()), hint),
    };
    match UNFIT.iter().find(|(number, _)| *number == kind) {
        Some((_, name)) => result("data folder", false, format!("{} is on {name}", data.display()), hint),
        None => result("data folder", true, data.display().to_string(), hint),
    }
}

async fn check_nft(nft: Option<PathBuf>) -> Check {
    let hint = "install it: apt install nftables";
    let Some(nft) = nft else { return result("nft", false, "nft was not found", hint) };
    // Listing needs the kernel's part as well.
    match runtime::output(&nft, "--version").await {
        Ok(version) => match firewall::check(&nft).await {
            Ok(()) => result("nft", true, format!("{}: {}", nft.display(), version.trim()), hint),
            Err(error) => result("nft", false, error.to_string(), "use a kernel with nf_tables"),
        },
        Err(why) => result("nft", false, format!("{} does not run: {why}", nft.display()), hint),
    }
}

fn check_cgroups(hierarchies: &[Hierarchy]) -> Vec<Check> {
    let v1: Vec<_> = hierarchies.iter().filter_map(|hierarchy| hierarchy.v1.as_ref()).flatten().collect();
    let v2 = hierarchies.iter().find(|hierarchy| hierarchy.v1.is_none());
    let mode = match (v1.is_empty(), v2.is_some()) {
        (true, true) => "version 2",
        (false, true) => "version 1 and 2 (hybrid)",
        (false, false) => "version 1",
        (true, false) => "none",
    };
    let of_v2 =
        v2.and_then(|h| fs::read_to_string(h.mount.join("cgroup.controllers")).ok()).unwrap_or_default();
    let has = |name: &str| v1.iter().any(|c| *c == name) || of_v2.split_whitespace().any(|c| c == name);
    let mut checks =
        vec![result("cgroups", mode != "none", mode, "mount the cgroup file system, as systemd does")];
    for name in ["memory", "cpu", "pids"] {
        let detail = if has(name) { "can be limited" } else { "cannot be limited" };
        let hint = "enable the controller in the kernel's command line (cgroup_enable=...)";
        checks.push(result(&format!("cgroup {name}"), has(name), detail, hint));
    }
    checks
}

/// It is switched on with the first container.
fn check_forwarding() -> Check {
    match host::forwards() {
        Ok(true) => result("ip_forward", true, "on", ""),
        Ok(false) => result("ip_forward", true, "off; switched on with the first container", ""),
        Err(error) => result("ip_forward", false, error.to_string(), "mount /proc"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_versions_are_compared_as_numbers() {
        assert_eq!(kernel_version("6.1.0-28-amd64"), Some((6, 1)));
        assert!(kernel_version("6.12.1").unwrap() >= KERNEL);
        assert!(kernel_version("5.10.0-30-amd64").unwrap() < KERNEL);
        assert_eq!(kernel_version("x"), None);
    }

    #[test]
    fn controllers_count_from_either_version() {
        let v1 = |names: &[&str]| Hierarchy {
            mount: "/nowhere".into(),
            v1: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        };
        let checks = check_cgroups(&[v1(&["rw", "memory"]), v1(&["rw", "cpu", "cpuacct"])]);
        let found: Vec<_> = checks.iter().map(|check| (check.name.as_str(), check.ok)).collect();
        let expected =
            [("cgroups", true), ("cgroup memory", true), ("cgroup cpu", true), ("cgroup pids", false)];
        assert_eq!(found, expected);
    }
}
