//! A disk without room, without inodes or without leave to write: told as such, nothing left behind, and all is
//! well again when there is room.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use image::{Cause, ImageStore, Progress};
use model::FailureCode;
use model::image::Reference;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use testkit::image::{Built, Image, Layer, Tar};
use testkit::registry::{Bad, Fault};

use crate::support::{Bench, company, config, fails, is_root};

const MIB: usize = 1 << 20;

/// A tmpfs in a folder of its own; unmounted when dropped.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// `options` of the mount, such as `size=4m`.
    fn mount(options: &std::ffi::CStr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        mount("tmpfs", folder.path(), "tmpfs", MountFlags::empty(), Some(options)).unwrap();
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn remount(&self, flags: MountFlags, options: &std::ffi::CStr) {
        mount_remount(self.path(), flags, options).unwrap();
    }

    /// Takes room until so many bytes are left, as somebody else does on the same disk.
    fn leave(&self, bytes: usize) {
        let filler = self.path().join("filler");
        let _ = fs::remove_file(&filler);
        let free = rustix::fs::statvfs(self.path()).unwrap();
        let free = usize::try_from(free.f_bavail * free.f_frsize).unwrap();
        fs::write(&filler, vec![0; free.saturating_sub(bytes)]).unwrap();
    }

    /// A store on it. Its folders are there, so that its registries may be named.
    fn bench(&self, insecure: &[String]) -> Bench {
        let folder = tempfile::tempdir_in(self.path()).unwrap();
        let store = ImageStore::open(config(&folder.path().join("images"), insecure, |_| {})).unwrap();
        Bench { store, folder }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = unmount(self.path(), UnmountFlags::DETACH);
    }
}

/// Bytes that do not get smaller.
fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).take(count / 8).flatten().collect()
}

fn layout_of(image: &Built) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layout");
    image.write_layout(&path, "1").unwrap();
    (folder, path)
}

fn name() -> Reference {
    Reference::parse("localhost/x:1").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_as_such_and_leaves_nothing() {
    if !is_root() {
        return;
    }
    let disk = SmallDisk::mount(c"size=4m");
    let tar = Tar::new().file("large", vec![7; 8 * MIB], 0o644);
    let (_layout, path) = layout_of(&Image::new().layer(Layer::gzip(tar)).build());
    let bench = disk.bench(&[]);
    let error = fails(bench.store.load(&path, &name()).await, FailureCode::DiskFull, "the disk is full");
    assert!(error.hint().unwrap().contains("Free some room"));
    bench.is_clean();
    disk.remount(MountFlags::empty(), c"size=16m");
    bench.store.load(&path, &name()).await.unwrap();
}

/// Compressed it is small, so that only unpacking shows how much it takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unpacking_stops_at_the_reserve() {
    if !is_root() {
        return;
    }
    let disk = SmallDisk::mount(c"size=64m");
    let large = Tar::new().file("large", vec![7; 128 * MIB], 0o644);
    let many = (0..20_000).fold(Tar::new(), |tar, n| tar.file(&format!("small-{n}"), "x", 0o644));
    let bench = disk.bench(&[]);
    for tar in [large, many] {
        let (_layout, path) = layout_of(&Image::new().layer(Layer::gzip(tar)).build());
        let error = fails(bench.store.load(&path, &name()).await, FailureCode::DiskFull, "3 MiB stay free");
        assert!(matches!(error.cause(), Cause::DiskFull { .. }));
        bench.is_clean();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layer_is_not_begun_on_a_disk_with_hardly_any_room() {
    if !is_root() {
        return;
    }
    let disk = SmallDisk::mount(c"size=4m");
    let tar = Tar::new().file("small", "x", 0o644);
    let (_layout, path) = layout_of(&Image::new().layer(Layer::gzip(tar)).build());
    let bench = disk.bench(&[]);
    // The layer would fit into what is left, which is less than one part in twenty.
    disk.leave(150 << 10);
    fails(bench.store.load(&path, &name()).await, FailureCode::DiskFull, "204 KiB stay free");
    disk.leave(MIB);
    bench.store.load(&path, &name()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_fit_is_not_downloaded() {
    if !is_root() {
        return;
    }
    let registry = Bad::start().await.unwrap();
    let layer = |n: u8| Layer::gzip(Tar::new().file("noise", noise(n.into(), 3 * MIB), 0o644));
    let image = Image::new().layer(layer(1)).layer(layer(2)).layer(layer(3)).build();
    registry.serve("app", &image, Fault::None);
    let disk = SmallDisk::mount(c"size=8m");
    let bench = disk.bench(&[registry.host()]);
    let text = format!("{}/app:1", registry.host());
    fails(bench.pull(&text).await, FailureCode::DiskFull, "9 MiB are needed");
    let layers: Vec<String> = image.blobs[1..].iter().map(|blob| testkit::image::digest(blob)).collect();
    let seen = registry.seen();
    assert!(!seen.iter().any(|seen| layers.iter().any(|layer| seen.path.ends_with(layer))), "{seen:?}");
    bench.is_clean();
    disk.remount(MountFlags::empty(), c"size=32m");
    bench.pull(&text).await.unwrap();
    // What is here needs no room.
    disk.leave(0);
    bench.pull(&text).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn used_up_inodes_are_told_apart_and_leave_nothing() {
    if !is_root() {
        return;
    }
    let disk = SmallDisk::mount(c"size=64m,nr_inodes=1000");
    let tar = (0..3000).fold(Tar::new(), |tar, n| tar.file(&format!("file-{n}"), "", 0o644));
    let (_layout, path) = layout_of(&Image::new().layer(Layer::gzip(tar)).build());
    let bench = disk.bench(&[]);
    let error = fails(bench.store.load(&path, &name()).await, FailureCode::DiskFull, "inode");
    assert!(error.hint().unwrap().contains("df -i"));
    bench.is_clean();

    // Not one is left, for a document or a folder either.
    for number in 0.. {
        if fs::write(disk.path().join(format!("filler-{number}")), "").is_err() {
            break;
        }
    }
    let registry = Bad::start().await.unwrap();
    registry.serve("app", &Image::new().layer(Layer::gzip(Tar::new())).build(), Fault::None);
    let reference = Reference::parse(&format!("{}/app:1", registry.host())).unwrap();
    let other = ImageStore::open(config(&bench.root(), &[registry.host()], |_| {}));
    fails(other.map(drop), FailureCode::DiskFull, "no inode is left");
    fails(bench.store.load(&path, &name()).await, FailureCode::DiskFull, "inode");
    bench.is_clean();

    disk.remount(MountFlags::empty(), c"nr_inodes=10000");
    bench.store.load(&path, &name()).await.unwrap();
    let store = ImageStore::open(config(&bench.root(), &[registry.host()], |_| {})).unwrap();
    store.resolve(&reference, None, company()).await.unwrap();
}

/// Whatever is left, from nothing to enough, an image comes whole or not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "in one of some hundred runs a folder for work under way stays until the next start; run by `make soak`"]
async fn room_that_ends_at_any_moment_leaves_nothing() {
    if !is_root() {
        return;
    }
    let registry = Bad::start().await.unwrap();
    let layer = |n: u8| {
        let tar = (0..20).fold(Tar::new(), |tar, file| {
            tar.dir(&format!("{file}"), 0o755).file(&format!("{file}/data"), vec![n; 10_000], 0o644)
        });
        Layer::gzip(tar)
    };
    registry.serve("app", &Image::new().layer(layer(1)).layer(layer(2)).build(), Fault::None);
    let text = format!("{}/app:1", registry.host());
    // So small that its reserve is soon used by what is written at the same time, and writes do fail.
    let disk = SmallDisk::mount(c"size=2m");
    let bench = disk.bench(&[registry.host()]);
    let (mut refused, mut resolved) = (0, 0);
    for left in (0..).map(|n| n * (24 << 10)) {
        disk.leave(left);
        let reference = Reference::parse(&text).unwrap();
        let result = match bench.store.resolve(&reference, None, company()).await {
            Ok(found) => {
                resolved += 1;
                let (manifest, progress) = (found.manifest, Progress::new());
                bench.store.fetch(&manifest, &reference, None, company(), &progress).await
            }
            Err(error) => Err(error),
        };
        bench.tmp_becomes_empty();
        if let Ok(rootfs) = result {
            assert_eq!(rootfs.layers.len(), 2);
            break;
        }
        fails(result, FailureCode::DiskFull, "the disk is full");
        refused += 1;
        disk.leave(2 * MIB);
        // The other layer may still be on its way to its place, where the sweep passes it over.
        let deadline = Instant::now() + Duration::from_secs(20);
        while fs::read_dir(bench.store.layers_root()).unwrap().count() > 0 {
            assert!(Instant::now() < deadline, "a layer of no image stays");
            bench.store.sweep(&[]).unwrap();
        }
        bench.tmp_becomes_empty();
    }
    assert!(refused > 5 && resolved > 5, "{refused} refused, {resolved} resolved");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_became_read_only_is_told_as_such() {
    if !is_root() {
        return;
    }
    let registry = Bad::start().await.unwrap();
    for name in ["here", "new"] {
        let tar = Tar::new().file(name, name, 0o644);
        registry.serve(name, &Image::new().layer(Layer::gzip(tar)).build(), Fault::None);
    }
    let disk = SmallDisk::mount(c"size=16m");
    let bench = disk.bench(&[registry.host()]);
    let text = |name: &str| format!("{}/{name}:1", registry.host());
    let (resolved, rootfs) = bench.pull(&text("here")).await.unwrap();

    disk.remount(MountFlags::RDONLY, c"");
    for _ in 0..2 {
        let error = fails(bench.pull(&text("new")).await, FailureCode::InternalError, "ead-only");
        assert!(error.hint().unwrap().contains("mounted read-only"), "{error}");
    }
    let error = fails(bench.store.sweep(&[]), FailureCode::InternalError, "ead-only");
    assert!(error.hint().unwrap().contains("mounted read-only"), "{error}");
    // What is here can be run.
    assert_eq!(bench.store.rootfs_for(&resolved.manifest, company()).unwrap(), Some(rootfs.clone()));

    disk.remount(MountFlags::empty(), c"");
    bench.tmp_becomes_empty();
    bench.pull(&text("new")).await.unwrap();
    assert_eq!(bench.pull(&text("here")).await.unwrap().1, rootfs);
}
