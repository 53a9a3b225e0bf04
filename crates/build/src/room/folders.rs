//! The folders that the room sees, laid out by the keeper over a folder that every machine has.

use std::fs::{self, Permissions};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use nix::mount::{MsFlags, mount};
use rustix::fs::{Mode, OFlags, open};

use super::protocol::{Orders, Trouble};

/// Where the room's root is laid out. Nothing in it counts any more: the mount is in a namespace of our own.
pub(super) const ROOT: &str = "/tmp";

/// What the programs of the host need. Links, as of a merged `/usr`, are made anew.
const PROGRAMS: [&str; 6] = ["usr", "bin", "sbin", "lib", "lib64", "lib32"];
/// Single things of the host's `/etc`.
const SETTINGS: [&str; 3] = ["etc/ssl/certs", "etc/alternatives", "etc/mime.types"];
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Folders that something is mounted at inside.
const EMPTY: [&str; 9] = ["dev", "proc", "sys", "run", "tmp", "var", "volume", "bases", "etc/containers"];

/// Lays out everything but what only the room itself can mount.
pub(super) fn lay_out(orders: &Orders, volume: BorrowedFd<'_>) -> Result<(), Trouble> {
    // All that is needed from elsewhere is held before the root may cover it.
    let context = hold(&orders.context)?;
    let out = hold(&orders.out)?;
    let bases: Vec<(&str, OwnedFd)> =
        orders.bases.iter().map(|(name, path)| Ok((&**name, hold(path)?))).collect::<Result<_, Trouble>>()?;

    let root = Path::new(ROOT);
    let size = Some("size=4m,mode=755");
    mount(Some("room"), root, Some("tmpfs"), MsFlags::MS_NOSUID, size)
        .map_err(Trouble::machine("making the room's root"))?;
    for folder in EMPTY {
        make_folder(&root.join(folder))?;
    }
    // Where the builder puts large files, whatever it is told about temporary ones.
    symlink("/volume/tmp", root.join("var/tmp"))
        .map_err(Trouble::machine("laying out the room's folders"))?;
    for name in PROGRAMS {
        program_folder(root, name)?;
    }
    for name in SETTINGS.iter().filter(|name| Path::new("/").join(name).exists()) {
        show(&Path::new("/").join(name), &root.join(name), Access::Read)?;
    }
    for name in DEVICES {
        show(&Path::new("/dev").join(name), &root.join("dev").join(name), Access::Device)?;
    }
    write_settings(root, &orders.resolv_conf)?;

    show_held(context.as_fd(), &root.join("context"), Access::ReadAsIs)?;
    for (name, base) in &bases {
        show_held(base.as_fd(), &root.join("bases").join(name), Access::Read)?;
    }
    show_held(out.as_fd(), &root.join("out"), Access::Write)?;
    show_held(volume, &root.join("volume"), Access::Write)?;
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID;
    mount(None::<&Path>, root, None::<&Path>, flags, None::<&Path>)
        .map_err(Trouble::machine("closing the room's root"))
}

enum Access {
    Read,
    /// Read, and nothing else is forbidden: the runtime inside may not take a flag away, and binds this anew.
    ReadAsIs,
    Write,
    Device,
}

fn hold(path: &Path) -> Result<OwnedFd, Trouble> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open(path, flags, Mode::empty())
        .map_err(|error| Trouble::Machine(format!("opening {}: {error}", path.display())))
}

fn show_held(from: BorrowedFd<'_>, to: &Path, access: Access) -> Result<(), Trouble> {
    make_folder(to)?;
    bind(&Path::new("/proc/self/fd").join(from.as_raw_fd().to_string()), to, access)
}

/// Shows a file or folder of the host.
fn show(from: &Path, to: &Path, access: Access) -> Result<(), Trouble> {
    if from.is_dir() {
        make_folder(to)?;
    } else {
        to.parent().map_or(Ok(()), make_folder)?;
        fs::write(to, "").map_err(Trouble::machine("laying out the room's files"))?;
    }
    bind(from, to, access)
}

fn bind(from: &Path, to: &Path, access: Access) -> Result<(), Trouble> {
    let doing = format!("showing {} to the room", to.display());
    mount(Some(from), to, None::<&Path>, MsFlags::MS_BIND, None::<&Path>)
        .map_err(Trouble::machine(&doing))?;
    let closed = match access {
        Access::Read => MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        Access::ReadAsIs => MsFlags::MS_RDONLY,
        Access::Write => return Ok(()),
        Access::Device => MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
    };
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | closed;
    mount(None::<&Path>, to, None::<&Path>, flags, None::<&Path>).map_err(Trouble::machine(&doing))
}

fn program_folder(root: &Path, name: &str) -> Result<(), Trouble> {
    let (from, to) = (Path::new("/").join(name), root.join(name));
    match fs::symlink_metadata(&from) {
        Ok(meta) if meta.is_symlink() => fs::read_link(&from)
            .and_then(|target| symlink(target, &to))
            .map_err(Trouble::machine("laying out the room's programs")),
        Ok(meta) if meta.is_dir() => show(&from, &to, Access::Read),
        _ => Ok(()),
    }
}

fn make_folder(path: &Path) -> Result<(), Trouble> {
    fs::create_dir_all(path).map_err(Trouble::machine("laying out the room's folders"))
}

/// Settings of our own in place of the host's, which may hold secrets.
fn write_settings(root: &Path, resolv_conf: &str) -> Result<(), Trouble> {
    let settings = [
        (
            "passwd",
            "root:x:0:0:root:/volume/home:/usr/sbin/nologin\nnobody:x:65534:65534::/:/usr/sbin/nologin\n",
        ),
        ("group", "root:x:0:\nnogroup:x:65534:\n"),
        ("hosts", "127.0.0.1 localhost\n::1 localhost\n"),
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
        ("resolv.conf", resolv_conf),
        // Base images were verified on their way here; nothing else is pulled.
        ("containers/policy.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#),
        (
            "containers/registries.conf",
            "unqualified-search-registries = []\nshort-name-mode = \"disabled\"\n",
        ),
        ("containers/storage.conf", STORAGE),
        ("containers/containers.conf", CONTAINERS),
    ];
    for (name, text) in settings {
        let path = root.join("etc").join(name);
        fs::write(&path, text)
            .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o644)))
            .map_err(Trouble::machine("writing the room's settings"))?;
    }
    Ok(())
}

/// What is mounted is not kept: after a crash it would be thought to be mounted still.
const STORAGE: &str =
    "[storage]\ndriver = \"overlay\"\ngraphroot = \"/volume/storage\"\nrunroot = \"/run/storage\"\n";

/// What the steps of a Dockerfile may: the builder's own defaults but raw sockets, devices and audit records.
const CONTAINERS: &str = "[containers]\ndefault_sysctls = []\ndefault_capabilities = [\"CHOWN\", \"DAC_OVERRIDE\", \
                          \"FOWNER\", \"FSETID\", \"KILL\", \"NET_BIND_SERVICE\", \"SETFCAP\", \"SETGID\", \
                          \"SETPCAP\", \"SETUID\", \"SYS_CHROOT\"]\n";
