//! Running Debian's builder: base images in, the Dockerfile, the result out.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::inside::fresh;
use super::protocol::{Orders, Report, Trouble, Work};
use super::volume::is_nearly_full;
use super::{pump, report};
use crate::workshop::{WRITTEN, says_full};

/// What the result is called in the builder's store.
const RESULT: &str = "localhost/built:latest";
/// Folder in memory, for what is secret and for what only counts now.
const DESK: &str = "/run/desk";
/// Folder for the result.
const OUT: &str = "/out";
/// What the builder knows of its containers.
const CONTAINERS: &str = "/volume/storage/overlay-containers";
/// Stands in the volume while a build goes on in it that has secrets.
const HAS_SECRETS: &str = "/volume/has-secrets";
/// What the builder keeps cache mounts in, of the folder for temporary files.
const CACHE_MOUNTS: &str = "buildah-cache";

/// Of a hundred parts of the volume, how many may be used without anything being removed.
const FULL: u64 = 60;
/// How many images may be kept: the builder looks at each of them in every step.
const MANY: usize = 300;

pub(super) fn build(orders: &Orders) -> Result<Report, Trouble> {
    prepare(orders).map_err(Trouble::volume("preparing the volume"))?;
    let buildah = Buildah { orders };
    if has_containers() {
        buildah.run(&["rm", "--all"])?;
    }
    for (base, _) in &orders.bases {
        doing(Work::Taking)?;
        let id = buildah.ask(&["pull", "--quiet", &format!("oci:/bases/{base}")])?;
        buildah.run(&["tag", &id, &format!("localhost/base:{base}")])?;
        say(&Report::Taken { base: base.clone() })?;
    }
    doing(Work::Building)?;
    // Debian's builder follows a link of an image or of the context when it binds a folder (CVE-2024-1753), so a step
    // may see all of the room. Of that the folder for the result alone is on the host's disk and can be written to.
    cover(OUT)?;
    let secrets = hide_secrets(orders)?;
    let built = buildah.run(&build_words(orders));
    secrets.over().map_err(Trouble::volume("tidying up behind secrets"))?;
    built?;
    uncover(OUT)?;
    doing(Work::Writing)?;
    // Compressing is left out: the layers are unpacked at once on this machine. Only this form of a result allows it.
    buildah.run(&[
        "push",
        "--quiet",
        "--disable-compression",
        "--format",
        "oci",
        RESULT,
        &format!("dir:{OUT}/{WRITTEN}"),
    ])?;
    let (size, used) = usage()?;
    if used > size / 100 * FULL || images() > MANY {
        // Those that the last build did not end with. It costs the next one time, and is worth no failure.
        let _ = buildah.run(&["rmi", "--prune", "--force"]);
    }
    let (size, used) = usage()?;
    Ok(Report::Built { size, used })
}

/// Hides a folder behind an empty one.
fn cover(folder: &str) -> Result<(), Trouble> {
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("cover"), folder, Some("tmpfs"), flags, Some("size=4k"))
        .map_err(Trouble::machine("hiding the folder for the image"))
}

fn uncover(folder: &str) -> Result<(), Trouble> {
    umount2(folder, MntFlags::empty()).map_err(Trouble::machine("showing the folder for the image"))
}

/// Whether there is hardly any room in the volume, whatever else a program may have filled.
fn is_full() -> bool {
    rustix::fs::statvfs("/volume").is_ok_and(|usage| is_nearly_full(&usage))
}

/// Bytes of the volume, and how many are used.
fn usage() -> Result<(u64, u64), Trouble> {
    let usage = rustix::fs::statvfs("/volume").map_err(Trouble::machine("looking at the volume"))?;
    let used = usage.f_blocks.saturating_sub(usage.f_bfree);
    Ok((usage.f_blocks * usage.f_frsize, used * usage.f_frsize))
}

/// How many images the builder keeps, one for almost every step that it ever made.
fn images() -> usize {
    let list = fs::read("/volume/storage/overlay-images/images.json").unwrap_or_default();
    serde_json::from_slice::<Vec<serde::de::IgnoredAny>>(&list).map_or(0, |images| images.len())
}

fn build_words(orders: &Orders) -> Vec<String> {
    let mut words: Vec<String> = [
        "bud",
        "--isolation",
        "oci",
        "--network",
        "host",
        "--pull-never",
        "--layers",
        "--force-rm",
        // The image is written in OCI's form all the same; this one knows SHELL while it builds.
        "--format",
        "docker",
        "--tag",
        RESULT,
        "--file",
    ]
    .map(str::to_owned)
    .to_vec();
    words.push(format!("{DESK}/Dockerfile"));
    words.extend(["--runtime".to_owned(), orders.programs.runc.display().to_string()]);
    if orders.ignore.is_some() {
        words.extend(["--ignorefile".to_owned(), format!("{DESK}/ignore")]);
    }
    for (index, (id, _)) in orders.secrets.iter().enumerate() {
        words.extend(["--secret".to_owned(), format!("id={id},src={DESK}/secrets/{index}")]);
    }
    words.push("/context".to_owned());
    words
}

fn prepare(orders: &Orders) -> io::Result<()> {
    if Path::new(HAS_SECRETS).exists() {
        return Err(io::Error::other("a build that had secrets was ended in it"));
    }
    let folder = |path: &str| fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    for path in ["/volume/storage", "/volume/tmp", "/volume/home", "/run/user", DESK, "/run/desk/secrets"] {
        folder(path)?;
    }
    // Left by builds that were ended; only cache mounts are meant to stay.
    for entry in fs::read_dir("/volume/tmp")? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(CACHE_MOUNTS) {
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?
            } else {
                fs::remove_file(entry.path())?
            }
        }
    }
    write(&Path::new(DESK).join("Dockerfile"), &orders.dockerfile)?;
    if let Some(ignore) = &orders.ignore {
        write(&Path::new(DESK).join("ignore"), ignore)?;
    }
    for (index, (_, value)) in orders.secrets.iter().enumerate() {
        write(&Path::new(DESK).join("secrets").join(index.to_string()), value)?;
    }
    Ok(())
}

/// The builder writes the secrets of a step among what it knows of its containers. That is in memory for a build that
/// may ask for one, or their texts would stay on the disk, in blocks that nobody overwrites.
///
/// Killed, such a build leaves files of containers that nobody knows any more. The mark in the volume tells of them.
fn hide_secrets(orders: &Orders) -> Result<Hidden, Trouble> {
    let asks = !orders.secrets.is_empty() && orders.dockerfile.to_ascii_lowercase().contains("secret");
    if asks {
        let preparing = Trouble::volume("preparing the volume for secrets");
        fs::write(HAS_SECRETS, "").map_err(&preparing)?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(CONTAINERS).map_err(&preparing)?;
        fresh("tmpfs", CONTAINERS, MsFlags::MS_NOSUID | MsFlags::MS_NODEV, "mode=700,size=32m")?;
    }
    Ok(Hidden(asks))
}

/// Whether secrets were hidden.
#[must_use]
struct Hidden(bool);

impl Hidden {
    /// The builder has ended, and removed its containers unless it was killed.
    fn over(self) -> io::Result<()> {
        match self.0 && !has_containers() {
            true => fs::remove_file(HAS_SECRETS),
            false => Ok(()),
        }
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::File::options().write(true).create_new(true).mode(0o400).open(path)?;
    file.write_all(text.as_bytes())
}

/// Whether a build before this one was ended before it had tidied up.
fn has_containers() -> bool {
    let list = fs::read(Path::new(CONTAINERS).join("containers.json")).unwrap_or_default();
    list.contains(&b'{')
}

fn doing(work: Work) -> Result<(), Trouble> {
    say(&Report::Doing(work))
}

fn say(what: &Report) -> Result<(), Trouble> {
    report(what).map_err(Trouble::machine("telling what goes on"))
}

struct Buildah<'a> {
    orders: &'a Orders,
}

impl Buildah<'_> {
    fn run<W: AsRef<OsStr>>(&self, words: &[W]) -> Result<(), Trouble> {
        let code = pump::run(&mut self.command(words), &mut |text, is_error| {
            let was_refused = says_full(&text);
            say(&Report::Line { text, is_error })?;
            // Now, because what fills the volume is removed with the step that failed.
            if was_refused && is_full() { say(&Report::Full) } else { Ok(()) }
        })?;
        if code == 0 { Ok(()) } else { Err(Trouble::Program { code }) }
    }

    /// Runs it for the last line that it prints.
    fn ask(&self, words: &[&str]) -> Result<String, Trouble> {
        let mut last = String::new();
        let code = pump::run(&mut self.command(words), &mut |text, is_error| {
            if !is_error {
                last.clone_from(&text);
            }
            say(&Report::Line { text, is_error })
        })?;
        if code == 0 { Ok(last.trim().to_owned()) } else { Err(Trouble::Program { code }) }
    }

    fn command<W: AsRef<OsStr>>(&self, words: &[W]) -> Command {
        let mut command = Command::new(&self.orders.programs.buildah);
        command.args(words).current_dir("/").env_clear().envs([
            ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOME", "/volume/home"),
            ("TMPDIR", "/volume/tmp"),
            ("XDG_RUNTIME_DIR", "/run/user"),
            ("CONTAINERS_CONF", "/etc/containers/containers.conf"),
            ("CONTAINERS_REGISTRIES_CONF", "/etc/containers/registries.conf"),
            ("CONTAINERS_STORAGE_CONF", "/etc/containers/storage.conf"),
            // It is root of a user namespace already and must not look for one.
            ("_CONTAINERS_USERNS_CONFIGURED", "done"),
        ]);
        command
    }
}
