//! What an installation must not leave on the machine.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a busy machine may take to let go of what was removed; what leaks stays longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until nothing of the installation is left, or gives what is.
pub fn wait_until_clean(data: &Path) -> Result<(), String> {
    let instance = instance_of(data);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = leftovers(&instance, data);
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(left.join("\n"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The name that everything of an installation bears, found where its run folder is.
pub fn instance_of(data: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    // The same folding of the path as in the product; a test that only looked where the product says would
    // not see what it forgot.
    let hash = data.as_os_str().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{:08x}", (hash ^ (hash >> 32)) as u32)
}

fn leftovers(instance: &str, data: &Path) -> Vec<String> {
    let mut left = Vec::new();
    let data = data.to_str().expect("the data folder of a test is UTF-8");
    let mine = |line: &&str| line.contains(instance) || line.contains(data);

    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    left.extend(mounts.lines().filter(mine).map(|line| format!("mount: {line}")));

    for entry in fs::read_dir("/sys/block").into_iter().flatten().flatten() {
        let file = fs::read_to_string(entry.path().join("loop/backing_file")).unwrap_or_default();
        if mine(&file.as_str()) {
            left.push(format!("loop device {}: {}", entry.file_name().to_string_lossy(), file.trim()));
        }
    }

    let link = format!("dar{instance}");
    for entry in fs::read_dir("/sys/class/net").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(&link) {
            left.push(format!("network link: {name}"));
        }
    }

    let tables = std::process::Command::new("nft").args(["list", "tables"]).output();
    let tables =
        tables.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    left.extend(tables.lines().filter(mine).map(|line| format!("nft: {line}")));

    find_cgroups(Path::new("/sys/fs/cgroup"), instance, 3, &mut left);

    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let cmdline = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let cmdline = String::from_utf8_lossy(&cmdline).replace('\0', " ");
        let is_test = cmdline.contains("e2e-");
        if !is_test && mine(&cmdline.as_str()) {
            left.push(format!("process {}: {cmdline}", entry.file_name().to_string_lossy()));
        }
    }

    let run = Path::new("/run/darsena").join(instance);
    if run.exists() {
        left.push(format!("folder: {}", run.display()));
    }
    left
}

fn find_cgroups(folder: &Path, instance: &str, depth: u32, left: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_symlink() || !path.is_dir() {
            continue;
        }
        if entry.file_name().to_string_lossy().contains(instance) {
            left.push(format!("cgroup: {}", path.display()));
        } else if depth > 0 {
            find_cgroups(&path, instance, depth - 1, left);
        }
    }
}
