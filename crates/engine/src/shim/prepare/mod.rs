//! Everything between a spec and a bundle that the runtime can take: root filesystem, user, command, files.

mod command;
mod environment;
pub(crate) mod etc;
mod inside;
mod overlay;
mod users;

use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, getrlimit};
use serde_json::Value;

use self::inside::Root;
use super::protocol::Orders;
use crate::bundle::{self, Host, Identity, Surroundings};
use crate::cgroup;
use crate::error::Doing;
use crate::folders::{DataFolder, RunFolder, read_json, write_whole};
use crate::{ContainerSpec, EngineError, Refusal};

/// Folders over which the kernel's own file systems are mounted.
const KERNEL_FOLDERS: [&str; 3] = ["proc", "sys", "dev"];

/// Mounts the root filesystem and writes the runtime's configuration. Works in a process that has its own
/// mount and network namespaces; `supervisor` is the one whose network namespace the container gets.
pub(super) fn prepare(run: &RunFolder, orders: &Orders, supervisor: i32) -> Result<(), EngineError> {
    let spec: ContainerSpec = read_json(&run.spec())
        .doing(|| "reading the container's spec".to_owned())?
        .ok_or_else(|| EngineError::host("reading the container's spec", "it is gone"))?;
    overlay::mount_overlay(&spec.rootfs, &orders.layers, run, &DataFolder::new(&orders.data))?;
    failpoint::reach("S8");

    let root = Root::open(&run.rootfs()).doing(|| "opening the root filesystem".to_owned())?;
    for folder in KERNEL_FOLDERS {
        root.check_kernel_folder(folder)?;
    }
    for fix in &spec.rootfs.dir_fixes {
        root.fix_folder(Path::new(&fix.path), fix.mode, fix.uid, fix.gid)?;
    }
    etc::write(&run.etc(), &spec.hostname, orders.address)?;
    for name in etc::NAMES {
        root.make_mount_point("/etc", name)?;
    }

    let identity = identity(&root, &spec.user)?;
    let env =
        environment::complete(&spec.env, &spec.hostname, &identity.home).map_err(EngineError::Refused)?;
    environment::check_size(&spec.args, &env).map_err(EngineError::Refused)?;
    let cwd = working_folder(&root, &spec.cwd)?;
    let search = env.iter().find(|(name, _)| name == "PATH").map_or("", |(_, path)| path.as_str());
    command::check(&root, &spec.args, search, &cwd)?;

    let surroundings = Surroundings {
        identity,
        env,
        rootfs: run.rootfs(),
        etc: run.etc(),
        network_namespace: PathBuf::from(format!("/proc/{supervisor}/ns/net")),
        cgroup: orders.cgroup.clone(),
        host: host()?,
    };
    write_bundle(run, &bundle::document(&spec, &surroundings))
}

fn write_bundle(run: &RunFolder, document: &Value) -> Result<(), EngineError> {
    let text =
        serde_json::to_vec(document).map_err(|error| EngineError::host("writing the bundle", error))?;
    write_whole(&run.bundle(), &text).doing(|| "writing the bundle".to_owned())
}

fn identity(root: &Root, user: &str) -> Result<Identity, EngineError> {
    let text = |path: &str| -> Result<String, EngineError> {
        Ok(root
            .read(Path::new(path))?
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default())
    };
    users::resolve(user, &text("/etc/passwd")?, &text("/etc/group")?).map_err(EngineError::Refused)
}

/// Makes the working folder beneath the root and says where it really is. The kernel's own folders are
/// refused: a path through `/proc` could lead out of the container.
fn working_folder(root: &Root, cwd: &str) -> Result<PathBuf, EngineError> {
    let hint = "set WORKDIR in the image to an absolute path of an ordinary folder";
    let refuse = |why: &str| {
        EngineError::Refused(Refusal::config(
            format!("the working folder {cwd:?} cannot be used: {why}"),
            hint,
        ))
    };
    let path = Path::new(if cwd.is_empty() { "/" } else { cwd });
    if !path.is_absolute() || cwd.contains('\0') {
        return Err(refuse("it is no absolute path"));
    }
    if path.components().any(|component| component == std::path::Component::ParentDir) {
        return Err(refuse("it holds \"..\""));
    }
    let is_kernels =
        |path: &Path| KERNEL_FOLDERS.iter().any(|name| path.starts_with(Path::new("/").join(name)));
    if is_kernels(path) {
        return Err(refuse("it is one of the kernel's own folders"));
    }
    let place = root.make_folder(path)?;
    match is_kernels(&place) {
        true => Err(refuse("it leads to one of the kernel's own folders")),
        false => Ok(place),
    }
}

fn host() -> Result<Host, EngineError> {
    let hard = |resource| {
        getrlimit(resource)
            .map(|(_, hard)| hard)
            .map_err(|error| EngineError::host("reading our own limits", error))
    };
    let hierarchies = cgroup::hierarchies().doing(|| "finding the control groups".to_owned())?;
    let memory_v1 =
        hierarchies.iter().find(|h| h.v1.as_ref().is_some_and(|c| c.iter().any(|c| c == "memory")));
    let limits_swap = memory_v1.is_none_or(|h| h.mount.join("memory.memsw.limit_in_bytes").exists());
    Ok(Host {
        open_files_max: hard(Resource::RLIMIT_NOFILE)?,
        locked_memory_max: hard(Resource::RLIMIT_MEMLOCK)?,
        cgroup_v2: hierarchies.iter().all(|hierarchy| hierarchy.v1.is_none()),
        oom_score: super::memory::oom_score().doing(|| "reading our own oom_score_adj".to_owned())?,
        limits_swap,
    })
}
