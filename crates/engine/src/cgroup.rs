//! Control groups of one container, on version 1, on version 2 and on both at once ("hybrid").
//!
//! The runtime makes them; this part finds all of them, ends what runs in them and removes them, also when no
//! supervisor is left to do so. Those of processes that are no container are made here.

mod limit;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long killed processes may take to go, and their groups to become removable.
const PATIENCE: Duration = Duration::from_secs(5);

/// A mounted hierarchy of control groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    pub mount: PathBuf,
    /// Controllers of a version 1 hierarchy; `None` for version 2.
    pub v1: Option<Vec<String>>,
}

/// Every hierarchy that `/proc/self/mountinfo` names.
pub(crate) fn hierarchies() -> io::Result<Vec<Hierarchy>> {
    Ok(parse_mountinfo(&fs::read_to_string("/proc/self/mountinfo")?))
}

/// proc_pid_mountinfo(5): fields up to " - ", then type, source and super options.
fn parse_mountinfo(text: &str) -> Vec<Hierarchy> {
    let hierarchy = |line: &str| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mount = PathBuf::from(mount.split(' ').nth(4)?);
        let mut filesystem = filesystem.split(' ');
        match filesystem.next()? {
            "cgroup2" => Some(Hierarchy { mount, v1: None }),
            "cgroup" => {
                let options = filesystem.nth(1)?.split(',').map(str::to_owned).collect();
                Some(Hierarchy { mount, v1: Some(options) })
            }
            _ => None,
        }
    };
    text.lines().filter_map(hierarchy).collect()
}

/// The group of this path in every hierarchy.
#[derive(Debug)]
pub(crate) struct Cgroup {
    groups: Vec<(PathBuf, Hierarchy)>,
}

impl Cgroup {
    /// `path` without a leading slash, such as `darsena-0123abcd/<id>`.
    pub fn of(path: &str) -> io::Result<Self> {
        let groups = hierarchies()?.into_iter().map(|h| (h.mount.join(path), h)).collect();
        Ok(Self { groups })
    }

    /// How many of its processes the kernel killed for want of memory.
    pub fn oom_kills(&self) -> u64 {
        let count = |(group, hierarchy): &(PathBuf, Hierarchy)| {
            let file = match &hierarchy.v1 {
                None => "memory.events",
                Some(controllers) if controllers.iter().any(|c| c == "memory") => "memory.oom_control",
                Some(_) => return None,
            };
            oom_kill_count(&fs::read_to_string(group.join(file)).ok()?)
        };
        self.groups.iter().filter_map(count).max().unwrap_or(0)
    }

    /// Lets `bell` be counted up whenever the limit of memory is reached, just before the kernel kills: for
    /// version 1, which cannot be told to end the whole group (memory.txt, "OOM Control"). Gives whether there is
    /// such a group.
    pub fn ring_when_out_of_memory(&self, bell: BorrowedFd<'_>) -> io::Result<bool> {
        let is_memory = |h: &Hierarchy| h.v1.as_ref().is_some_and(|c| c.iter().any(|name| name == "memory"));
        let Some((group, _)) = self.groups.iter().find(|(_, hierarchy)| is_memory(hierarchy)) else {
            return Ok(false);
        };
        let control = fs::File::open(group.join("memory.oom_control"))?;
        let line = format!("{} {}", bell.as_raw_fd(), control.as_raw_fd());
        fs::write(group.join("cgroup.event_control"), line)?;
        Ok(true)
    }

    /// Kills every process and waits until all are gone.
    pub fn kill(&self) -> io::Result<()> {
        self.kill_within(PATIENCE)
    }

    /// The same for processes that may take longer to go, as those do that have much written and not yet on disk.
    pub fn kill_within(&self, patience: Duration) -> io::Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let left = self.processes()?;
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("{} killed processes do not go away", left.len())));
            }
            self.kill_once(&left);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// On version 1 the group is frozen meanwhile: a process that forks quickly would always leave one behind.
    fn kill_once(&self, processes: &[Pid]) {
        for (group, _) in self.groups.iter().filter(|(_, h)| h.v1.is_none()) {
            let _ = fs::write(group.join("cgroup.kill"), "1");
        }
        self.set_freezer("FROZEN");
        for process in processes {
            let _ = kill(*process, Signal::SIGKILL);
        }
        self.set_freezer("THAWED");
    }

    fn set_freezer(&self, state: &str) {
        for (group, _) in &self.groups {
            let file = group.join("freezer.state");
            if file.exists() {
                let _ = fs::write(file, state);
            }
        }
    }

    /// The processes of a session, and those that descend from its leader.
    pub fn family(&self, leader: i32) -> io::Result<Vec<Pid>> {
        let parents: Vec<_> =
            self.processes()?.into_iter().filter_map(|pid| Some((pid, parent_and_session(pid)?))).collect();
        let mut family = vec![leader];
        loop {
            let is_new = |pid: &Pid| !family.contains(&pid.as_raw());
            let more = parents.iter().find(|(pid, (parent, session))| {
                is_new(pid) && (*session == leader || family.contains(parent))
            });
            match more {
                Some((pid, _)) => family.push(pid.as_raw()),
                None => return Ok(family.split_off(1).into_iter().map(Pid::from_raw).collect()),
            }
        }
    }

    fn processes(&self) -> io::Result<Vec<Pid>> {
        let mut all = Vec::new();
        for (group, _) in &self.groups {
            for folder in subtree(group)? {
                // A group that vanishes meanwhile is empty.
                let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
                all.extend(text.lines().filter_map(|line| line.parse().ok()).map(Pid::from_raw));
            }
        }
        all.sort();
        all.dedup();
        Ok(all)
    }

    /// The names of the groups directly beneath.
    pub fn beneath(&self) -> io::Result<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        for (group, _) in &self.groups {
            match fs::read_dir(group) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                entries => {
                    let folders = entries?.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
                    found.extend(folders.map(|entry| entry.file_name().to_string_lossy().into_owned()));
                }
            }
        }
        Ok(found)
    }

    /// Removes the groups; absent ones are fine.
    pub fn remove(&self) -> io::Result<()> {
        for (group, _) in &self.groups {
            for folder in subtree(group)?.iter().rev() {
                remove_group(folder)?;
            }
        }
        Ok(())
    }

    /// Moves this very process in, where the service manager looks (version 2 and the named hierarchy), so
    /// that stopping or limiting its unit does not touch us. Best effort: without it all else still works.
    pub fn enter_as_seen_by_the_service_manager(&self) {
        let seen = |h: &Hierarchy| h.v1.as_ref().is_none_or(|c| c.iter().any(|name| name == "name=systemd"));
        for (group, _) in self.groups.iter().filter(|(_, hierarchy)| seen(hierarchy)) {
            let _ = fs::create_dir_all(group);
            let _ = fs::write(group.join("cgroup.procs"), "0");
        }
    }
}

/// `path` and every group beneath it, parents first.
fn subtree(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![path.to_owned()];
    let mut next = 0;
    while let Some(folder) = found.get(next).cloned() {
        next += 1;
        match fs::read_dir(&folder) {
            Ok(entries) => {
                let folders = entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
                found.extend(folders.map(|entry| entry.path()));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// A group stays busy for a moment after its last process has gone.
fn remove_group(path: &Path) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match fs::remove_dir(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.raw_os_error() == Some(Errno::EBUSY as i32) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(error) => return Err(io::Error::other(format!("{}: {error}", path.display()))),
        }
    }
}

/// proc_pid_stat(5): after the program's name in brackets, which may hold anything, come state, parent, process
/// group and session. One that has ended is passed over.
fn parent_and_session(pid: Pid) -> Option<(i32, i32)> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(stat: &str) -> Option<(i32, i32)> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let is_alive = !matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    is_alive.then_some((parent, session))
}

fn oom_kill_count(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_both_versions_are_found() {
        let text = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                    40 31 0:37 / /sys/fs/cgroup/systemd rw shared:9 - cgroup cgroup rw,name=systemd\n\
                    41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n\
                    27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n";
        let found = parse_mountinfo(text);
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].mount, Path::new("/sys/fs/cgroup/memory"));
        assert!(found[0].v1.as_ref().unwrap().contains(&"memory".to_owned()));
        assert!(found[1].v1.as_ref().unwrap().contains(&"name=systemd".to_owned()));
        assert_eq!(found[2], Hierarchy { mount: "/sys/fs/cgroup/unified".into(), v1: None });
    }

    #[test]
    fn parent_and_session_are_read_past_any_name() {
        assert_eq!(parse_stat("12 (a) b) (c) S 7 12 11 0 -1"), Some((7, 11)));
        assert_eq!(parse_stat("12 (x) Z 7 12 11 0 -1"), None);
        assert_eq!(parse_stat("12 (x"), None);
    }

    #[test]
    fn kills_for_want_of_memory_are_read_from_both_versions() {
        assert_eq!(oom_kill_count("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), Some(3));
        assert_eq!(oom_kill_count("low 0\nhigh 0\nmax 4\noom 1\noom_kill 1\noom_group_kill 1\n"), Some(1));
        assert_eq!(oom_kill_count("under_oom 0\n"), None);
    }
}
