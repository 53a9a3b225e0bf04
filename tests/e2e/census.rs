//! What an installation has on the machine while it runs: every container with its supervisor, control group and
//! interface, and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::harness::{Installation, PATIENCE};

/// Names of what is there, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    pub run_folders: Vec<String>,
    pub data_folders: Vec<String>,
    pub runtime_records: Vec<String>,
    /// In one hierarchy.
    pub cgroups: Vec<String>,
    pub interfaces: Vec<String>,
    /// Builds that were admitted to limits and network.
    pub guests: Vec<String>,
    /// Command lines of supervisors and of processes that unpack.
    pub supervisors: Vec<String>,
    pub unpacking: Vec<String>,
    pub layers_under_way: Vec<PathBuf>,
    /// Mounts that show on the host, of which there are none.
    pub mounts: Vec<String>,
}

impl Census {
    pub fn take(darsena: &Installation) -> Self {
        let (run, data) = (darsena.run_folder(), darsena.data());
        let instance = darsena.instance();
        let mut census = Self {
            run_folders: names(&run.join("containers")),
            data_folders: names(&data.join("containers")),
            runtime_records: names(&run.join("runtime")),
            cgroups: groups(&instance),
            interfaces: names(Path::new("/sys/class/net")),
            guests: names(&run.join("guests")),
            layers_under_way: darsena.layers_under_way(),
            ..Self::default()
        };
        census.interfaces.retain(|name| name.starts_with(&format!("dar{instance}")));
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let is_ours = |line: &&str| line.contains(&instance) || line.contains(data.to_str().unwrap());
        census.mounts = mounts.lines().filter(is_ours).map(str::to_owned).collect();
        for (pid, words) in command_lines() {
            let mentions = |path: &Path| words.iter().any(|word| Path::new(word).starts_with(path));
            let role = words.get(1).map(String::as_str);
            match role {
                Some("shim") if mentions(&run) => {
                    census.supervisors.push(format!("{pid} {}", words.join(" ")));
                }
                Some("unpack") if mentions(data) => {
                    census.unpacking.push(format!("{pid} {}", words.join(" ")));
                }
                _ => {}
            }
        }
        census
    }

    /// What is not as it should be with so many containers.
    pub fn faults(&self, containers: usize) -> Vec<String> {
        let counted = [
            ("run folders", &self.run_folders),
            ("data folders", &self.data_folders),
            ("records of the runtime", &self.runtime_records),
            ("control groups", &self.cgroups),
            ("interfaces", &self.interfaces),
            ("supervisors", &self.supervisors),
        ];
        let mut faults = Vec::new();
        for (what, found) in counted {
            if found.len() != containers {
                faults.push(format!("{} {what} instead of {containers}: {found:?}", found.len()));
            }
        }
        let absent = |what: &str, found: String| (found != "[]").then(|| format!("{what}: {found}"));
        faults.extend(absent("guests", format!("{:?}", self.guests)));
        faults.extend(absent("still unpacking", format!("{:?}", self.unpacking)));
        faults.extend(absent("layers under way", format!("{:?}", self.layers_under_way)));
        faults.extend(absent("mounts", format!("{:?}", self.mounts)));
        faults
    }
}

/// Waits until the installation has so many containers and no more than belongs to them; gives what is left over.
pub fn wait_for(darsena: &Installation, containers: usize) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let faults = Census::take(darsena).faults(containers);
        if faults.is_empty() || Instant::now() > deadline {
            return faults;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Every process with its words.
pub fn command_lines() -> Vec<(u32, Vec<String>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
        let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        found.push((pid, words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()));
    }
    found
}

/// The groups of containers; the one of all supervisors is no container's.
fn groups(instance: &str) -> Vec<String> {
    let name = format!("darsena-{instance}");
    let v1 = Path::new("/sys/fs/cgroup/pids").join(&name);
    let group = if v1.exists() { v1 } else { Path::new("/sys/fs/cgroup").join(&name) };
    let is_folder = |name: &String| group.join(name).is_dir() && name != "supervisors";
    names(&group).into_iter().filter(is_folder).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
