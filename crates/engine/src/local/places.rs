//! Where one installation keeps its containers.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use model::{ContainerId, DeploymentId};

use super::config::Config;
use super::subnet::Link;
use crate::cgroup::Cgroup;
use crate::folders::{DataFolder, RunFolder, make_private, read_json};

/// What the names of guests' control groups begin with.
const GUEST: &str = "build-";

/// The folders and names that follow from a [`Config`].
#[derive(Clone, Debug)]
pub(super) struct Places {
    instance: String,
    run: PathBuf,
    data: PathBuf,
}

impl Places {
    pub fn of(config: &Config) -> Self {
        Self { instance: config.instance.clone(), run: config.run.clone(), data: config.data.clone() }
    }

    /// Makes what is missing. Others may pass through the run folder, which also holds the ingress's socket.
    pub fn make(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o711).create(&self.run)?;
        make_private(&self.containers())?;
        make_private(&self.guests())?;
        make_private(&self.runtime_root())?;
        make_private(&self.data)
    }

    fn containers(&self) -> PathBuf {
        self.run.join("containers")
    }

    fn guests(&self) -> PathBuf {
        self.run.join("guests")
    }

    /// The runtime's `--root`.
    pub fn runtime_root(&self) -> PathBuf {
        self.run.join("runtime")
    }

    pub fn subnet(&self) -> PathBuf {
        self.run.join("subnet.json")
    }

    pub fn run_of(&self, id: &ContainerId) -> RunFolder {
        RunFolder::new(self.containers().join(id.as_str()))
    }

    /// A guest has its address there and nothing else.
    pub fn run_of_guest(&self, id: DeploymentId) -> RunFolder {
        RunFolder::new(self.guests().join(id.uuid().simple().to_string()))
    }

    pub fn data_of(&self, id: &ContainerId) -> DataFolder {
        DataFolder::new(self.data.join(id.as_str()))
    }

    /// The control group of all that is ours, without a leading slash.
    pub fn cgroup(&self) -> String {
        format!("darsena-{}", self.instance)
    }

    pub fn cgroup_of(&self, id: &ContainerId) -> String {
        format!("{}/{id}", self.cgroup())
    }

    pub fn cgroup_of_guest(&self, id: DeploymentId) -> String {
        format!("{}/{GUEST}{}", self.cgroup(), id.uuid().simple())
    }

    pub fn supervisors_cgroup(&self) -> String {
        format!("{}/supervisors", self.cgroup())
    }

    /// Every container that has left a trace: after a restart of the machine only the data folder knows it.
    pub fn list(&self) -> io::Result<Vec<ContainerId>> {
        let mut ids = BTreeSet::new();
        for folder in [self.containers(), self.data.clone()] {
            ids.extend(names(&folder)?.iter().filter_map(|name| name.parse::<ContainerId>().ok()));
        }
        Ok(ids.into_iter().collect())
    }

    /// Every guest that has left a trace.
    pub fn list_guests(&self) -> io::Result<BTreeSet<DeploymentId>> {
        let groups = Cgroup::of(&self.cgroup())?.beneath()?;
        let of_groups = groups.iter().filter_map(|name| name.strip_prefix(GUEST)?.parse().ok());
        Ok(names(&self.guests())?.iter().filter_map(|name| name.parse().ok()).chain(of_groups).collect())
    }

    /// The connections that containers and guests have.
    pub fn links(&self) -> io::Result<Vec<Link>> {
        let containers = self.list()?.into_iter().map(|id| self.run_of(&id));
        let guests = self.list_guests()?.into_iter().map(|id| self.run_of_guest(id));
        let mut links = Vec::new();
        for run in containers.chain(guests) {
            links.extend(read_json::<Link>(&run.network())?);
        }
        Ok(links)
    }

    /// Removes the folders, which must be empty but for our own files; what others put there stays.
    pub fn remove(&self) -> io::Result<()> {
        for file in [self.subnet(), self.subnet().with_extension("draft")] {
            absent_is_fine(fs::remove_file(file))?;
        }
        for folder in [self.containers(), self.guests(), self.runtime_root(), self.data.clone()] {
            absent_is_fine(fs::remove_dir(folder))?;
        }
        match fs::remove_dir(&self.run) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            removed => absent_is_fine(removed),
        }
    }
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
