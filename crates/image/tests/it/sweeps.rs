//! Sweeps, and stores that are killed: what is in place is whole, what is needed stays, and the rest goes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use image::{ImageStore, Progress};
use model::image::{Reference, RootFs};
use testkit::image::{Built, Image, Layer, Tar};
use testkit::registry::{Bad, Fault};

use crate::support::{Bench, company, config, is_root, listing};

/// Folders in a layer, and files in each of them.
const FOLDERS: usize = 12;
const FILES: usize = 25;
/// Kills of each kind.
const KILLS: u64 = 16;
const PATIENCE: Duration = Duration::from_secs(60);

/// A layer with enough files that writing and removing it takes a while.
fn layer(name: &str) -> Layer {
    let mut tar = Tar::new();
    for folder in 0..FOLDERS {
        tar = tar.dir(&format!("{name}-{folder}"), 0o755);
        for file in 0..FILES {
            tar = tar.file(&format!("{name}-{folder}/{file}"), format!("{name} {folder} {file}"), 0o644);
        }
    }
    Layer::gzip(tar)
}

/// An image of four layers, the lowest of them the same for all.
fn image(name: &str) -> Built {
    let own = |n: u8| layer(&format!("{name}-{n}"));
    Image::new().layer(layer("shared")).layer(own(1)).layer(own(2)).layer(own(3)).env("NAME", name).build()
}

/// Layers in place, each with its listing.
type Layers = BTreeMap<String, Vec<String>>;

fn layers(root: &Path) -> Layers {
    let folders = fs::read_dir(root.join("layers")).unwrap().map(|entry| entry.unwrap());
    folders.map(|entry| (entry.file_name().into_string().unwrap(), listing(&entry.path()))).collect()
}

fn names(layers: &Layers) -> BTreeSet<&str> {
    layers.keys().map(String::as_str).collect()
}

fn hexes(rootfs: &RootFs) -> BTreeSet<&str> {
    rootfs.layers.iter().map(|diff_id| diff_id.hex()).collect()
}

/// A store in a process of its own, which is open. Dropped, it is killed.
struct Other(Child);

impl Other {
    fn start(root: &Path, work: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_image-store"))
            .arg(root)
            .arg(env!("CARGO_BIN_EXE_image-unpack"))
            .args(work)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "begins\n");
        Self(child)
    }

    fn succeeds(mut self) {
        assert!(self.0.wait().unwrap().success());
    }

    /// Kills it once `is_time` says so, or lets it end before that. Whether it was killed at work.
    fn kill_when(mut self, mut is_time: impl FnMut() -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while !is_time() {
            if self.0.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(Instant::now() < deadline, "it neither ends nor gets there");
        }
        self.0.kill().unwrap();
        !self.0.wait().unwrap().success()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two images at a registry, and a folder for stores of several processes.
struct Place {
    folder: tempfile::TempDir,
    registry: Bad,
    kept: Reference,
    orphan: Reference,
    /// Every layer of both images, as it is when it is whole.
    whole: Layers,
    kept_layers: BTreeSet<String>,
    kept_manifest: String,
}

impl Place {
    async fn prepare() -> Self {
        let registry = Bad::start().await.unwrap();
        for name in ["kept", "orphan"] {
            registry.serve(name, &image(name), Fault::None);
        }
        let reference = |name: &str| Reference::parse(&format!("{}/{name}:1", registry.host())).unwrap();
        let (kept, orphan) = (reference("kept"), reference("orphan"));
        // In memory where there is such a folder: killing a process loses nothing there either, and a layer waits
        // for no other writes of this machine.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let place = Self {
            folder,
            registry,
            kept,
            orphan,
            whole: Layers::new(),
            kept_layers: BTreeSet::new(),
            kept_manifest: String::new(),
        };
        let store = place.open();
        let (kept_manifest, rootfs) = place.pull(&store, &place.kept).await;
        place.pull(&store, &place.orphan).await;
        let kept_layers = hexes(&rootfs).into_iter().map(str::to_owned).collect();
        Self { whole: layers(place.folder.path()), kept_layers, kept_manifest, ..place }
    }

    fn open(&self) -> ImageStore {
        ImageStore::open(config(self.folder.path(), &[self.registry.host()], |_| {})).unwrap()
    }

    async fn pull(&self, store: &ImageStore, reference: &Reference) -> (String, RootFs) {
        let resolved = store.resolve(reference, None, company()).await.unwrap();
        let fetched =
            store.fetch(&resolved.manifest, reference, None, company(), &Progress::new()).await.unwrap();
        (resolved.manifest.to_string(), fetched)
    }

    /// What is in place is whole, and the next sweep leaves what is needed and nothing else.
    #[track_caller]
    fn is_sound(&self, needed: &BTreeSet<String>) {
        let root = self.folder.path();
        let found = layers(root);
        for (name, files) in &found {
            assert!(self.whole[name] == *files, "layer {name} has {} lines", files.len());
        }
        let missing: Vec<_> = needed.iter().filter(|name| !found.contains_key(*name)).collect();
        assert!(missing.is_empty(), "{missing:?} are needed and gone");

        let store = self.open();
        let keep = [self.kept_manifest.parse().unwrap()];
        let deadline = Instant::now() + PATIENCE;
        loop {
            store.sweep(&keep).unwrap();
            let left = listing(&root.join("tmp"));
            // The folder of this store is all; an unpack process of a killed one may still be about to end.
            if left.len() <= 1 {
                break;
            }
            assert!(Instant::now() < deadline, "left in tmp: {left:?}");
        }
        let found = layers(root);
        assert_eq!(names(&found), needed.iter().map(String::as_str).collect());
        assert!(found.iter().all(|(name, files)| self.whole[name] == *files));
    }
}

/// Numbers from 0 to below `end`, different for each `seed` and the same in each run.
fn scattered(seed: u64, end: u64) -> u64 {
    let mixed = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) % end
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_that_is_killed_leaves_whole_layers_and_the_next_one_ends_it() {
    if !is_root() {
        return;
    }
    let place = Place::prepare().await;
    let root = place.folder.path();
    let all = place.whole.len();
    let mut killed = 0;
    for seed in 0..KILLS {
        let store = place.open();
        place.pull(&store, &place.orphan).await;
        drop(store);
        assert_eq!(layers(root).len(), all);

        // Once the first, second or third layer is away, and a little later.
        let gone = 1 + usize::try_from(seed % 3).unwrap();
        let mut later = scattered(seed, 200);
        let sweep = Other::start(root, &["sweep", &place.kept_manifest]);
        killed += u64::from(sweep.kill_when(|| {
            let is_away = fs::read_dir(root.join("layers")).unwrap().count() + gone <= all;
            later = later.saturating_sub(u64::from(is_away));
            is_away && later == 0
        }));
        place.is_sound(&place.kept_layers);
    }
    assert!(killed > 0, "every sweep was faster than its killer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_that_is_killed_leaves_no_layer_that_is_not_whole() {
    if !is_root() {
        return;
    }
    let place = Place::prepare().await;
    let root = place.folder.path();
    place.is_sound(&place.kept_layers);
    let (host, orphan) = (place.registry.host(), place.orphan.to_string());
    let kept = place.kept_layers.len();
    let mut killed = 0;
    for seed in 0..KILLS {
        // While the first, second or third layer is unpacked or put in place.
        let there = kept + usize::try_from(seed % 3).unwrap();
        let mut later = scattered(seed, 2000);
        let pull = Other::start(root, &["pull", &host, &orphan]);
        killed += u64::from(pull.kill_when(|| {
            let is_there = fs::read_dir(root.join("layers")).unwrap().count() >= there;
            later = later.saturating_sub(u64::from(is_there));
            is_there && later == 0
        }));
        place.is_sound(&place.kept_layers);
    }
    assert!(killed > 0, "every pull was faster than its killer");
    Other::start(root, &["pull", &host, &orphan]).succeeds();
    assert_eq!(layers(root), place.whole);
}

/// A pull, a load by another process and a sweep want the same layers at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_being_removed_can_be_brought_at_the_same_time() {
    if !is_root() {
        return;
    }
    let place = Place::prepare().await;
    let layout = tempfile::tempdir().unwrap();
    image("orphan").write_layout(layout.path(), "1").unwrap();
    let layout = layout.path().to_str().unwrap();
    let store = place.open();
    let keep = [place.kept_manifest.parse().unwrap()];
    for round in 0..6 {
        let sweeper = {
            let (store, keep) = (store.clone(), keep.clone());
            tokio::task::spawn_blocking(move || store.sweep(&keep).unwrap())
        };
        let name = format!("localhost/round-{round}:1");
        let load = Other::start(place.folder.path(), &["load", layout, &name]);
        // What is kept is there throughout.
        let (_, rootfs) = place.pull(&store, &place.kept).await;
        assert_eq!(hexes(&rootfs), place.kept_layers.iter().map(String::as_str).collect());
        sweeper.await.unwrap();
        tokio::task::spawn_blocking(move || load.succeeds()).await.unwrap();

        // Named now, and whole whatever the sweeps do.
        store.sweep(&keep).unwrap();
        assert_eq!(layers(place.folder.path()), place.whole);
        let (_, rootfs) = place.pull(&store, &Reference::parse(&name).unwrap()).await;
        assert_eq!(rootfs.layers.len(), 4);

        // Without its name it is an orphan again.
        for entry in fs::read_dir(place.folder.path().join("local")).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }
    drop(store);
    place.is_sound(&place.kept_layers);
}

/// Of a document that is damaged nobody can tell which layers it needs, perhaps those of a running container.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_swept_while_a_kept_document_is_damaged() {
    if !is_root() {
        return;
    }
    let registry = Bad::start().await.unwrap();
    registry.serve("app", &image("app"), Fault::None);
    let bench = Bench::new(&[registry.host()]);
    let text = format!("{}/app:1", registry.host());
    let (resolved, rootfs) = bench.pull(&text).await.unwrap();
    let keep = [resolved.manifest.clone()];
    for blob in fs::read_dir(bench.root().join("blobs/sha256")).unwrap() {
        let blob = blob.unwrap().path();
        let bytes = fs::read(&blob).unwrap();
        fs::write(&blob, &bytes[..bytes.len() / 2]).unwrap();
        let error = bench.store.sweep(&keep).unwrap_err();
        assert!(error.to_string().contains("nothing was removed"), "{error}");
        assert!(error.hint().is_some());
        assert_eq!(names(&layers(&bench.root())), hexes(&rootfs));

        // As the hint says: the next pull mends it.
        bench.pull(&text).await.unwrap();
        assert_eq!(fs::read(&blob).unwrap(), bytes);
        assert_eq!(bench.store.sweep(&keep).unwrap(), image::Swept::default());
    }
    bench.store.sweep(&[]).unwrap();
    bench.is_clean();
}
