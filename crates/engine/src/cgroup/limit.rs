//! Groups that are made and limited here and not by a runtime: for processes that are no container.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use model::Limits;
use nix::errno::Errno;
use nix::unistd::Pid;

use super::{Cgroup, Hierarchy, parent_and_session};

/// What is limited: nothing may be missing.
const LIMITED: [&str; 3] = ["cpu", "memory", "pids"];
/// On version 1 killing needs it.
const FREEZER: &str = "freezer";
/// Microseconds, the kernel's own default.
const CPU_PERIOD: u64 = 100_000;
/// Of processor time when others want it too, where a container's whole core counts 1024: what serves comes first.
const SHARES: &str = "128";
/// The same for version 2, where 100 is the default.
const WEIGHT: &str = "12";
/// Looks for children that were born meanwhile. Those of a process that was moved are born in its group.
const MOST_LOOKS: usize = 100;

/// A file of a group and what is written there.
#[derive(Debug, PartialEq, Eq)]
struct Setting {
    file: &'static str,
    value: String,
    /// Whether it must be there. The others are missing on machines where there is nothing to limit.
    is_needed: bool,
}

impl Cgroup {
    /// Makes the group wherever something can be limited, and limits it. One that is there is limited anew.
    pub fn make(&self, limits: &Limits) -> io::Result<()> {
        let mut missing: BTreeSet<&str> = LIMITED.into();
        for (group, hierarchy) in self.limiting() {
            if hierarchy.v1.is_none() {
                enable_controllers(&hierarchy.mount, group)?;
            }
            fs::create_dir_all(group).map_err(|error| named(group, &error))?;
            for controller in controllers(group, hierarchy)? {
                for setting in settings(&controller, hierarchy.v1.is_some(), limits) {
                    write(&group.join(setting.file), &setting)?;
                }
                missing.remove(&*controller);
            }
        }
        match missing.into_iter().next() {
            None => Ok(()),
            Some(controller) => {
                Err(io::Error::other(format!("no control group of this machine limits {controller}")))
            }
        }
    }

    /// Moves a process in, with all that descends from it; gives what was moved.
    pub fn take_in(&self, pid: Pid) -> io::Result<Vec<Pid>> {
        self.move_in(pid)?;
        let mut moved = vec![pid];
        for _ in 0..MOST_LOOKS {
            let more = descendants(&moved)?;
            if more.is_empty() {
                return Ok(moved);
            }
            for child in more {
                match self.move_in(child) {
                    // It has ended.
                    Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => {}
                    other => other?,
                }
                moved.push(child);
            }
        }
        Err(io::Error::other("it forks faster than its children can be moved"))
    }

    /// Whether the process is in the group.
    pub fn holds(&self, pid: Pid) -> io::Result<bool> {
        Ok(self.processes()?.contains(&pid))
    }

    fn move_in(&self, pid: Pid) -> io::Result<()> {
        self.limiting().try_for_each(|(group, _)| fs::write(group.join("cgroup.procs"), pid.to_string()))
    }

    /// The groups that limit something, or that help to end what is in them.
    fn limiting(&self) -> impl Iterator<Item = (&Path, &Hierarchy)> {
        let helps = |controller: &String| LIMITED.contains(&&**controller) || controller == FREEZER;
        let is_wanted = move |hierarchy: &Hierarchy| {
            hierarchy.v1.as_ref().is_none_or(|controllers| controllers.iter().any(helps))
        };
        self.groups
            .iter()
            .filter(move |(_, hierarchy)| is_wanted(hierarchy))
            .map(|(group, hierarchy)| (group.as_path(), hierarchy))
    }
}

/// On version 2 a group has the controllers that all groups above it pass on (cgroup-v2.rst, "Enabling and
/// Disabling").
fn enable_controllers(mount: &Path, group: &Path) -> io::Result<()> {
    let mut above: Vec<&Path> =
        group.ancestors().skip(1).take_while(|path| path.starts_with(mount)).collect();
    above.reverse();
    for folder in above {
        fs::create_dir_all(folder).map_err(|error| named(folder, &error))?;
        let read = |file: &str| fs::read_to_string(folder.join(file));
        let (offered, passed_on) = (read("cgroup.controllers")?, read("cgroup.subtree_control")?);
        for controller in LIMITED {
            let has = |list: &str| list.split_whitespace().any(|name| name == controller);
            if has(&offered) && !has(&passed_on) {
                let file = folder.join("cgroup.subtree_control");
                fs::write(&file, format!("+{controller}")).map_err(|error| named(&file, &error))?;
            }
        }
    }
    Ok(())
}

fn controllers(group: &Path, hierarchy: &Hierarchy) -> io::Result<Vec<String>> {
    match &hierarchy.v1 {
        Some(controllers) => Ok(controllers.clone()),
        None => {
            let text = fs::read_to_string(group.join("cgroup.controllers"))?;
            Ok(text.split_whitespace().map(str::to_owned).collect())
        }
    }
}

/// What a controller is told. Memory includes swap, of which there is none.
fn settings(controller: &str, is_v1: bool, limits: &Limits) -> Vec<Setting> {
    let needed = |file, value: String| Setting { file, value, is_needed: true };
    let if_there = |file, value: String| Setting { file, value, is_needed: false };
    let memory = (u64::from(limits.memory_mb) << 20).to_string();
    // The kernel's least quota is 1 ms.
    let quota = (u64::from(limits.cpu_millis) * CPU_PERIOD / 1000).max(1000);
    match (controller, is_v1) {
        ("memory", true) => vec![
            // It may not be less than the other limit, also while both change.
            if_there("memory.memsw.limit_in_bytes", "-1".to_owned()),
            needed("memory.limit_in_bytes", memory.clone()),
            if_there("memory.memsw.limit_in_bytes", memory),
            if_there("memory.swappiness", "0".to_owned()),
        ],
        ("memory", false) => {
            vec![needed("memory.max", memory), if_there("memory.swap.max", "0".to_owned())]
        }
        ("cpu", true) => vec![
            needed("cpu.cfs_period_us", CPU_PERIOD.to_string()),
            needed("cpu.cfs_quota_us", quota.to_string()),
            if_there("cpu.shares", SHARES.to_owned()),
        ],
        ("cpu", false) => vec![
            needed("cpu.max", format!("{quota} {CPU_PERIOD}")),
            if_there("cpu.weight", WEIGHT.to_owned()),
        ],
        ("pids", _) => vec![needed("pids.max", limits.pids.to_string())],
        _ => Vec::new(),
    }
}

fn write(path: &Path, setting: &Setting) -> io::Result<()> {
    // Not made: a group has the files that it has.
    let file = fs::OpenOptions::new().write(true).open(path);
    let written = file.and_then(|mut file| file.write_all(setting.value.as_bytes()));
    match written {
        Err(error) if is_absent(&error) && !setting.is_needed => Ok(()),
        written => written.map_err(|error| named(path, &error)),
    }
}

/// Version 1 shows some files also where the machine was started without what they are for.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::Unsupported)
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Processes whose parent is among those, and which are not.
fn descendants(known: &[Pid]) -> io::Result<Vec<Pid>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()).map(Pid::from_raw) else { continue };
        let Some((parent, _)) = parent_and_session(pid) else { continue };
        if known.contains(&Pid::from_raw(parent)) && !known.contains(&pid) {
            found.push(pid);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { memory_mb: 512, cpu_millis: 1500, pids: 300 };

    /// Folders and files that look like a hierarchy of version 2 with one group in a group.
    #[test]
    fn on_version_2_every_group_above_passes_the_controllers_on() {
        let mount = tempfile::tempdir().unwrap();
        let group = mount.path().join("darsena-0/build-1");
        fs::create_dir_all(&group).unwrap();
        for (folder, controllers) in [("", "cpuset cpu memory pids"), ("darsena-0", "cpu memory pids")] {
            fs::write(mount.path().join(folder).join("cgroup.controllers"), controllers).unwrap();
            fs::write(mount.path().join(folder).join("cgroup.subtree_control"), "cpu memory").unwrap();
        }
        fs::write(group.join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        for file in ["memory.max", "memory.swap.max", "cpu.max", "cpu.weight", "pids.max"] {
            fs::write(group.join(file), "").unwrap();
        }
        let hierarchy = Hierarchy { mount: mount.path().to_owned(), v1: None };
        let cgroup = Cgroup { groups: vec![(group.clone(), hierarchy)] };
        cgroup.make(&LIMITS).unwrap();

        let read = |path: &Path| fs::read_to_string(path).unwrap();
        for folder in ["", "darsena-0"] {
            let passed_on = mount.path().join(folder).join("cgroup.subtree_control");
            assert_eq!(read(&passed_on), "+pids", "what is passed on already is left alone");
        }
        assert_eq!(read(&group.join("memory.max")), "536870912");
        assert_eq!(read(&group.join("memory.swap.max")), "0");
        assert_eq!(read(&group.join("cpu.max")), "150000 100000");
        assert_eq!(read(&group.join("pids.max")), "300");

        fs::write(group.join("cgroup.controllers"), "cpu pids\n").unwrap();
        let refused = cgroup.make(&LIMITS).unwrap_err().to_string();
        assert_eq!(refused, "no control group of this machine limits memory");
    }

    #[test]
    fn version_1_has_a_limit_of_its_own_for_memory_and_swap() {
        let told: Vec<_> = settings("memory", true, &LIMITS)
            .into_iter()
            .map(|setting| (setting.file, setting.value, setting.is_needed))
            .collect();
        assert_eq!(told[1], ("memory.limit_in_bytes", "536870912".to_owned(), true));
        assert_eq!(told[2], ("memory.memsw.limit_in_bytes", "536870912".to_owned(), false));
        assert_eq!(settings("freezer", true, &LIMITS), []);
    }
}
