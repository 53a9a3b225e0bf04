//! What building needs, and whether this machine has it.

use std::path::Path;

use super::config::Config;
use crate::builder::Check;

pub(super) async fn check(config: &Config) -> Vec<Check> {
    let programs = &config.programs;
    let needed = [
        ("buildah", &programs.buildah, "buildah"),
        ("runc", &programs.runc, "runc"),
        ("git", &programs.git, "git"),
        ("mkfs.ext4", &programs.mkfs, "e2fsprogs"),
        ("mount", &programs.mount, "mount"),
    ];
    let mut checks: Vec<Check> =
        needed.into_iter().map(|(name, path, package)| program(name, path, package)).collect();
    checks.extend([loop_devices(), user_namespaces()]);
    checks
}

fn program(name: &str, path: &Path, package: &str) -> Check {
    let ok = path.is_file();
    let detail = if ok { path.display().to_string() } else { format!("{} is missing", path.display()) };
    let hint = (!ok).then(|| format!("Install Debian's package {package}: apt-get install {package}"));
    Check { name: name.to_owned(), ok, detail, hint }
}

fn loop_devices() -> Check {
    let path = "/dev/loop-control";
    let ok = Path::new(path).exists();
    let detail = if ok { path.to_owned() } else { format!("{path} is missing") };
    let hint = (!ok).then(|| "Load the kernel's module: modprobe loop".to_owned());
    Check { name: "loop devices".to_owned(), ok, detail, hint }
}

fn user_namespaces() -> Check {
    let setting = "/proc/sys/user/max_user_namespaces";
    let most = std::fs::read_to_string(setting).ok().and_then(|text| text.trim().parse::<u64>().ok());
    let ok = most.is_some_and(|most| most > 0);
    let detail = match most {
        Some(most) => format!("{most} allowed"),
        None => "the kernel has none".to_owned(),
    };
    let hint = (!ok).then(|| "Allow them: sysctl user.max_user_namespaces=10000".to_owned());
    Check { name: "user namespaces".to_owned(), ok, detail, hint }
}
