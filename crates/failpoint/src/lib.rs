//! Named moments of a deployment at which a test holds a process still, so that it can be killed exactly there.
//!
//! A test names a folder in the variable [`VARIABLE`] of `darsena serve` and puts an empty file into it, named
//! like the point. The first thread that comes by writes its process id into the file and waits until the file is
//! removed. Without the variable, or without the file, nothing happens; in a release build there is no code here
//! at all, and no role is handed the variable.
//!
//! The points, by their names in the project's table of faults, and where they are:
//!
//! | point | the moment | process | place |
//! |---|---|---|---|
//! | `S1` | the deployment's row is written, nobody was woken or answered | serve | `deploy`, `Platform::enqueue` |
//! | `S2` | a token for the registry has come, and is not kept yet | serve | `image`, `Tokens::obtain` |
//! | `S3` | manifest and configuration are verified, the release is not written | serve | `deploy`, `resolve` |
//! | `S4` | half a layer's bytes have come | serve | `image`, `Sink::take` |
//! | `S5` | the unpacked layer is renamed into its place, its folder is not synced | serve | `image`, `put_in_place` |
//! | `S6` | half a file of a layer is written | unpack | `image`, `Extractor::write_file` |
//! | `S7` | the layer is marked as its company's own | serve | `image`, `bring` |
//! | `S8` | the overlay is mounted, no bundle is written | shim | `engine`, `prepare` |
//! | `S9` | the container's network namespace has its pair of interfaces | serve | `engine`, `network::plug` |
//! | `S10` | the runtime has made control group and container, the engine has not heard of it | shim | `engine`, `make` |
//! | `S11` | the engine has a whole container, the state is not saved | serve | `engine`, `make` |
//! | `S12` | the commands of all instances run, the state is not saved | serve | `deploy`, `launch` |
//! | `S13` | the probe has succeeded for the first time | serve | `deploy`, `await_health` |
//! | `S14a` | the switch is committed, the ingress has not heard of it | serve | `deploy`, `switch` |
//! | `S14` | the ingress has the new route, the state is not saved | serve | `deploy`, `switch` |
//! | `S15` | the old container is about to be drained | serve | `deploy`, `drain` |
//! | `S16` | the old container is stopped and not removed | serve | `deploy`, `retire_container` |
//! | `S17` | the old container is removed, the state is not saved | serve | `deploy`, `drain` |
//! | `S18` | the row is final, its log and the sweep of images are not done | serve | `deploy`, `carry_through` |
//!
//! A deployment that builds has three more, between `S1` and `S8`:
//!
//! | point | the moment | process | place |
//! |---|---|---|---|
//! | `S19` | the commit is written, the state is not saved | serve | `deploy`, `fetch` |
//! | `S20` | the image is built, the store has not taken it | serve | `deploy`, `build_now` |
//! | `S21` | the store has the image, the release is not written | serve | `deploy`, `take` |
//!
//! A layer is one stream from the network into its folder, so there is no blob to be renamed: `S5` is the rename
//! of the layer itself.

#[cfg(debug_assertions)]
mod armed;

/// The environment variable with the folder of points.
pub const VARIABLE: &str = "DARSENA_FAILPOINTS";

/// Every point of a deployment of an image, in its order.
pub const POINTS: [&str; 19] = [
    "S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10", "S11", "S12", "S13", "S14a", "S14", "S15",
    "S16", "S17", "S18",
];

/// The points that only a deployment that builds has, in its order.
pub const BUILD_POINTS: [&str; 3] = ["S19", "S20", "S21"];

/// A point that is armed, when a test asked for it.
///
/// A process that changes its root arms what it may reach while it still sees the folder.
pub struct Point {
    #[cfg(debug_assertions)]
    file: Option<std::fs::File>,
    #[cfg(debug_assertions)]
    name: &'static str,
}

impl Point {
    /// Arms the point, if its file is there.
    #[inline(always)]
    pub fn arm(name: &'static str) -> Self {
        #[cfg(debug_assertions)]
        return Self { file: armed::file(name), name };
        #[cfg(not(debug_assertions))]
        {
            let _ = name;
            Self {}
        }
    }

    /// Waits while the point is held.
    #[inline(always)]
    pub fn reach(&self) {
        #[cfg(debug_assertions)]
        if let Some(file) = &self.file {
            armed::hold(file, self.name);
        }
    }
}

/// Arms and reaches a point in one. It holds the calling thread, whatever runs on it.
#[inline(always)]
pub fn reach(name: &'static str) {
    Point::arm(name).reach();
}

/// What a role with an otherwise empty environment is handed, so that it has the points too. Empty in a release
/// build.
pub fn environment() -> Option<(&'static str, std::ffi::OsString)> {
    #[cfg(debug_assertions)]
    return std::env::var_os(VARIABLE).map(|folder| (VARIABLE, folder));
    #[cfg(not(debug_assertions))]
    None
}
