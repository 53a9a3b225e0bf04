//! A workshop, repositories, and surroundings that note what they are told.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use build::made::Bases;
use build::{
    Base, Builder, Built, Config, Limits, News, Order, Programs, Role, Secret, Surroundings, Workshop,
};
use model::image::Digest;
use model::{AppId, BuildSettings, DeploymentId, Failure, FailureCode, Phase};
use tempfile::TempDir;
use testkit::image::{Image, Layer, Tar};

/// Says why a test does nothing where it cannot run.
pub fn is_root() -> bool {
    let is_root = fs::read_to_string("/proc/self/status").unwrap().contains("Uid:\t0\t");
    if !is_root {
        println!("not run: needs root");
    }
    is_root
}

/// An image with a shell and a few tools.
pub fn tools() -> testkit::image::Built {
    let mut tar = Tar::new();
    for folder in ["bin", "usr", "usr/bin", "tmp", "etc"] {
        tar = tar.dir(folder, 0o755);
    }
    tar = tar.file("etc/passwd", "root:x:0:0:root:/:/bin/sh\n", 0o644);
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
    pub folder: TempDir,
    pub workshop: Arc<Workshop>,
    pub app: AppId,
    pub around: Arc<Around>,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(Limits { disk: 1 << 30, reserve: 64 << 20, ..Limits::default() })
    }

    pub fn with(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let workshop = Workshop::open(config(folder.path(), limits)).unwrap();
        let around = Arc::new(Around::default());
        around.offer("docker.io/library/tools:1", tools());
        Self { folder, workshop: Arc::new(workshop), app: AppId::new(), around }
    }

    pub fn order(&self, files: &[(&str, &str)]) -> Order {
        let checkout = self.folder.path().join(format!("checkout-{}", DeploymentId::new()));
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
    }
}

pub fn config(folder: &Path, limits: Limits) -> Config {
    Config {
        folder: folder.join("build"),
        role: Role { program: env!("CARGO_BIN_EXE_build-room").into(), args: Vec::new() },
        programs: Programs::default(),
        limits,
        first_id: 300_000,
        bases: Bases::default(),
        resolv_conf: || "nameserver 192.0.2.53\n".to_owned(),
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
        false
    }

    fn told(&self, news: News) {
        println!("{news:?}");
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
