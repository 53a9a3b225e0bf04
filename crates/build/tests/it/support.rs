//! A workshop, repositories, and surroundings that note what they are told.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use build::made::Bases;
use build::{
    Base, Builder, Built, Config, Limits, News, Order, Programs, Role, Secret, Surroundings, Workshop,
};
use model::image::Digest;
use model::{AppId, BuildSettings, DeploymentId, Failure, FailureCode, Phase};
use tempfile::TempDir;
use testkit::image::{Image, Layer, Tar};

#[expect(clippy::print_stdout, reason = "the test harness shows it")]
fn say(text: &str) {
    println!("{text}");
}

/// Says why a test does nothing where it cannot run.
pub fn is_root() -> bool {
    let is_root = fs::read_to_string("/proc/self/status").unwrap().contains("Uid:\t0\t");
    if !is_root {
        say("not run: needs root");
    }
    is_root
}

/// An image with a shell and a few tools.
pub fn tools() -> testkit::image::Built {
    let mut tar = Tar::new();
    for folder in ["bin", "usr", "usr/bin", "etc"] {
        tar = tar.dir(folder, 0o755);
    }
    tar = tar.dir("tmp", 0o1777).file("etc/passwd", "root:x:0:0:root:/:/bin/sh\n", 0o644);
    tar = tar.host_file(Path::new("/bin/dash"), "bin/sh").unwrap();
    let names = [
        "dash", "cat", "cp", "ls", "sleep", "dd", "mkdir", "chmod", "id", "find", "grep", "env", "touch",
        "rm",
    ];
    let paths = names.map(|name| {
        let places = [format!("/usr/bin/{name}"), format!("/bin/{name}")].map(PathBuf::from);
        places.into_iter().find(|path| path.is_file()).unwrap_or_else(|| panic!("{name} is missing"))
    });
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let tar = tar.host_programs(&paths).unwrap();
    Image::new().layer(Layer::gzip(tar)).env("PATH", "/usr/bin:/bin").build()
}

/// Everything for builds of one application.
pub struct Bench {
    pub folder: PathBuf,
    pub workshop: Arc<Workshop>,
    pub app: AppId,
    pub around: Arc<Around>,
    _owned: Option<TempDir>,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(limits())
    }

    pub fn with(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut bench = Self::open(folder.path(), limits);
        bench._owned = Some(folder);
        bench
    }

    /// In a folder that somebody else removes.
    pub fn in_folder(folder: &Path) -> Self {
        Self::open(folder, limits())
    }

    fn open(folder: &Path, limits: Limits) -> Self {
        Self::of(folder, config(folder, limits))
    }

    pub fn of(folder: &Path, config: Config) -> Self {
        let workshop = Workshop::open(config).unwrap();
        let around = Arc::new(Around::default());
        around.offer("docker.io/library/tools:1", tools());
        Self {
            folder: folder.to_owned(),
            workshop: Arc::new(workshop),
            app: AppId::new(),
            around,
            _owned: None,
        }
    }

    pub fn order(&self, files: &[(&str, &str)]) -> Order {
        let checkout = self.folder.join(format!("checkout-{}", DeploymentId::new()));
        for (name, text) in files {
            let path = checkout.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Order {
            build: DeploymentId::new(),
            app: self.app,
            checkout,
            settings: BuildSettings::default(),
            variables: Vec::new(),
        }
    }

    pub async fn build(&self, order: &Order) -> Result<Built, Failure> {
        tokio::time::timeout(Duration::from_secs(240), self.workshop.build(order, &*self.around))
            .await
            .expect("the build takes too long")
            .inspect_err(|failure| say(&format!("{failure:?}")))
    }

    pub fn volume(&self) -> PathBuf {
        self.folder.join("build/volumes").join(self.app.to_string()).join("volume")
    }

    pub fn result(&self, order: &Order) -> PathBuf {
        self.folder.join("build/builds").join(order.build.to_string())
    }

    /// No process, mount, loop device or file of a build, a moment after its end.
    pub async fn assert_nothing_left(&self, order: &Order) {
        self.assert_nothing_running().await;
        until("the build's files are removed", || !self.result(order).exists()).await;
    }

    pub async fn assert_nothing_running(&self) {
        let left = || [processes_of(&self.folder), mounts_of(&self.folder), loops_of(&self.folder)].concat();
        until("the room is gone", || left().is_empty()).await;
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // The folder can only be removed once nothing is mounted from it.
        let deadline = Instant::now() + Duration::from_secs(30);
        while !mounts_of(&self.folder).is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn limits() -> Limits {
    Limits { disk: 1 << 30, reserve: 64 << 20, ..Limits::default() }
}

pub fn config(folder: &Path, limits: Limits) -> Config {
    Config {
        folder: folder.join("build"),
        role: Role { program: env!("CARGO_BIN_EXE_build-room").into(), args: Vec::new() },
        programs: Programs::default(),
        limits,
        first_id: first_id(folder),
        bases: Bases::default(),
        resolv_conf: || "nameserver 192.0.2.53\n".to_owned(),
    }
}

/// Ids of its own for each bench, so that its processes can be told from those of others.
pub fn first_id(folder: &Path) -> u32 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    folder.hash(&mut hasher);
    300_000 + u32::try_from(hasher.finish() % 20_000).unwrap() * 65_536
}

/// Command lines of the processes in the rooms of a bench.
pub fn processes_of(folder: &Path) -> Vec<String> {
    let ids = first_id(folder)..first_id(folder) + 65_536;
    let is_inside = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        let id = line.and_then(|line| line.split_whitespace().next()?.parse::<u32>().ok());
        id.is_some_and(|id| ids.contains(&id))
    };
    processes()
        .filter(|path| fs::read_to_string(path.join("status")).is_ok_and(is_inside))
        .map(|path| {
            String::from_utf8_lossy(&fs::read(path.join("cmdline")).unwrap_or_default()).replace('\0', " ")
        })
        .collect()
}

/// Mounts of files in a folder, in any namespace.
fn mounts_of(folder: &Path) -> Vec<String> {
    let shown = folder.display().to_string();
    processes()
        .filter_map(|path| fs::read_to_string(path.join("mountinfo")).ok())
        .flat_map(|text| {
            text.lines().filter(|line| line.contains(&shown)).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

fn loops_of(folder: &Path) -> Vec<String> {
    let devices = fs::read_dir("/sys/block").unwrap().flatten();
    devices
        .filter_map(|device| fs::read_to_string(device.path().join("loop/backing_file")).ok())
        .filter(|file| Path::new(file).starts_with(folder))
        .collect()
}

fn processes() -> impl Iterator<Item = PathBuf> {
    let is_number = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()))
    };
    fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()).filter(is_number)
}

/// Waits until something is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came about that {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Surroundings with base images, without limits and without a network.
#[derive(Default)]
pub struct Around {
    images: Mutex<BTreeMap<String, testkit::image::Built>>,
    pub news: Mutex<Vec<News>>,
    pub fetched: Mutex<Vec<String>>,
    pub admitted: Mutex<Vec<u32>>,
    pub dismissed: Mutex<u32>,
    pub is_out_of_memory: Mutex<bool>,
}

impl Around {
    pub fn offer(&self, reference: &str, image: testkit::image::Built) {
        self.images.lock().unwrap().insert(reference.to_owned(), image);
    }

    pub fn take_news(&self) -> Vec<News> {
        std::mem::take(&mut self.news.lock().unwrap())
    }

    /// Every line that was printed since the news were taken.
    pub fn lines(&self) -> Vec<String> {
        let line = |news: &News| match news {
            News::Line { text, .. } => Some(text.clone()),
            _ => None,
        };
        self.news.lock().unwrap().iter().filter_map(line).collect()
    }
}

#[async_trait]
impl Surroundings for Around {
    async fn resolve(&self, base: &Base) -> Result<Digest, Failure> {
        let images = self.images.lock().unwrap();
        match images.get(&base.reference.to_string()) {
            Some(image) => Ok(Digest::parse(&image.digest).unwrap()),
            None => {
                let message = format!("{} does not exist, line {}.", base.reference, base.line);
                Err(Failure::new(Phase::Build, FailureCode::ImageNotFound, message, None))
            }
        }
    }

    async fn fetch(&self, base: &Base, manifest: &Digest, into: &Path) -> Result<(), Failure> {
        let images = self.images.lock().unwrap();
        let image = &images[&base.reference.to_string()];
        assert_eq!(image.digest, manifest.to_string());
        image.write_layout(into, "base").unwrap();
        self.fetched.lock().unwrap().push(base.reference.to_string());
        Ok(())
    }

    async fn admit(&self, pid: u32) -> Result<(), Failure> {
        assert!(Path::new(&format!("/proc/{pid}/ns/net")).exists());
        self.admitted.lock().unwrap().push(pid);
        Ok(())
    }

    async fn dismiss(&self) -> bool {
        *self.dismissed.lock().unwrap() += 1;
        *self.is_out_of_memory.lock().unwrap()
    }

    fn told(&self, news: News) {
        say(&format!("{news:?}"));
        self.news.lock().unwrap().push(news);
    }
}

/// The configuration of the image in a layout.
pub fn image_config(layout: &Path) -> String {
    let index = fs::read_to_string(layout.join("index.json")).unwrap();
    let manifest = fs::read_to_string(blob(layout, &digest_after(&index, "\"digest\":\""))).unwrap();
    let config = &manifest[manifest.find("\"config\"").unwrap()..];
    fs::read_to_string(blob(layout, &digest_after(config, "\"digest\":\""))).unwrap()
}

fn digest_after(text: &str, key: &str) -> String {
    let start = text.find(key).unwrap() + key.len();
    text[start..].split('"').next().unwrap().to_owned()
}

fn blob(layout: &Path, digest: &str) -> PathBuf {
    layout.join("blobs").join(digest.replace(':', "/"))
}

/// Whether some bytes are in any file of the image.
pub fn image_holds(layout: &Path, wanted: &str) -> bool {
    let blobs = fs::read_dir(layout.join("blobs/sha256")).unwrap();
    blobs.flatten().any(|blob| {
        let mut bytes = fs::read(blob.path()).unwrap();
        if bytes.starts_with(&[0x1f, 0x8b]) {
            let mut plain = Vec::new();
            flate2::read::MultiGzDecoder::new(&*bytes).read_to_end(&mut plain).unwrap();
            bytes = plain;
        }
        bytes.windows(wanted.len()).any(|window| window == wanted.as_bytes())
    })
}

pub fn secret(name: &str, value: &str) -> (String, Secret) {
    (name.to_owned(), Secret::new(value))
}
