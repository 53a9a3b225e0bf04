//! What the room is told and what it tells: JSON, one line each. Orders come on standard input, because they hold
//! secrets; reports go to standard output.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

/// A build, as the room needs it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Orders {
    /// File whose lock says who has the volume.
    pub lock: PathBuf,
    /// File with the filesystem of the builder's store, of what it works on, and of cache mounts.
    pub volume: PathBuf,
    /// Empty folder, to mount the volume at.
    pub mountpoint: PathBuf,
    /// What the Dockerfile sees.
    pub context: PathBuf,
    /// Folders with an OCI layout each, of base images that the volume lacks, by the digits of their manifests.
    pub bases: Vec<(String, PathBuf)>,
    /// Empty folder for the result.
    pub out: PathBuf,
    /// Ids of the host that are 0 to 65,535 inside.
    pub first_id: u32,
    /// Most processes, of each user inside.
    pub processes: u64,
    /// Most bytes of a file. One with nothing in it takes no room in the volume, but does in what is written of it.
    pub largest_file: u64,
    pub dockerfile: String,
    /// What to leave out of the context, when a file says it that the builder does not find by itself.
    pub ignore: Option<String>,
    /// Secrets by id.
    pub secrets: Vec<(String, String)>,
    pub resolv_conf: String,
    pub programs: Programs,
}

impl Drop for Orders {
    fn drop(&mut self) {
        self.secrets.iter_mut().for_each(|(_, value)| value.zeroize());
        self.dockerfile.zeroize();
    }
}

/// Where Debian's programs are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Programs {
    pub buildah: PathBuf,
    pub runc: PathBuf,
    pub mount: PathBuf,
    pub mkfs: PathBuf,
    /// Not used for building; looked for by [`crate::Builder::check`].
    pub git: PathBuf,
}

impl Default for Programs {
    fn default() -> Self {
        Self {
            buildah: "/usr/bin/buildah".into(),
            runc: "/usr/sbin/runc".into(),
            mount: "/usr/bin/mount".into(),
            mkfs: "/usr/sbin/mkfs.ext4".into(),
            git: "/usr/bin/git".into(),
        }
    }
}

/// What the parent says once limits and network are there.
pub(crate) const GO: &str = "go\n";

/// What the room tells.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The process whose network namespace is to be connected. It waits for [`GO`].
    Ready {
        pid: u32,
    },
    /// What goes on now.
    Doing(Work),
    /// A line of a program.
    Line {
        text: String,
        is_error: bool,
    },
    /// There was no room for what a program wanted to write, and there is hardly any in the volume. Comes behind the
    /// line that says the first.
    Full,
    /// A base image is in the volume.
    Taken {
        base: String,
    },
    /// The image is written. Bytes of the volume, and how many of them are used.
    Built {
        size: u64,
        used: u64,
    },
    Failed(Trouble),
}

/// A part of the room's work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Work {
    /// Taking a base image into the volume.
    Taking,
    /// Running the Dockerfile.
    Building,
    /// Writing the result.
    Writing,
}

/// Why the room could not go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Trouble {
    /// A program ended with this code; its lines say why.
    Program { code: i32 },
    /// The volume cannot be used any more, but another one can.
    Volume(String),
    /// This machine refused something.
    Machine(String),
}

impl Trouble {
    /// For `map_err`: what could not be done.
    pub fn machine<E: std::fmt::Display>(doing: &str) -> impl Fn(E) -> Self {
        move |error| Self::Machine(format!("{doing}: {error}"))
    }

    pub fn volume<E: std::fmt::Display>(doing: &str) -> impl Fn(E) -> Self {
        move |error| Self::Volume(format!("{doing}: {error}"))
    }
}
