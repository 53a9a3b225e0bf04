//! A store in a temporary folder, and what tests look at in it.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use image::{Config, ImageError, ImageStore, Login, Progress, Resolved, RoleCommand};
use model::image::{Reference, RootFs};
use model::{CompanyId, FailureCode};
use tempfile::TempDir;

/// A store of its own for each test.
pub struct Bench {
    pub store: ImageStore,
    pub folder: TempDir,
}

/// The company of tests that need only one.
pub fn company() -> CompanyId {
    "01920000-0000-7000-8000-000000000001".parse().unwrap()
}

/// A login whose secret is easy to find.
pub const SECRET: &str = "hunter2-canary";

pub fn ada() -> Login {
    Login::new("ada", SECRET)
}

/// `Authorization: Basic` of [`ada`].
pub const BASIC: &str = "Basic YWRhOmh1bnRlcjItY2FuYXJ5";

/// An error, which shows the secret of [`ada`] in no form.
#[track_caller]
pub fn fails<T>(result: Result<T, ImageError>, code: FailureCode, says: &str) -> ImageError {
    let error = result.err().expect("a failure");
    let whole = format!("{error} {error:?} {:?}", error.hint());
    assert_eq!(error.code(), code, "{whole}");
    assert!(whole.contains(says), "{says:?} is not in {whole}");
    assert!(!whole.contains(SECRET) && !whole.contains(&BASIC[6..]), "{whole}");
    error
}

/// Whether this test can run here; says so when it cannot.
pub fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        not_run("root");
    }
    is_root
}

/// Says why a test does nothing here.
#[expect(clippy::print_stdout, reason = "the test harness shows it")]
pub fn not_run(needs: &str) {
    println!("not run: needs {needs}");
}

impl Bench {
    pub fn new(insecure: &[String]) -> Self {
        Self::with(insecure, |_| {})
    }

    pub fn with(insecure: &[String], change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = ImageStore::open(config(&folder.path().join("images"), insecure, change)).unwrap();
        Self { store, folder }
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("images")
    }

    /// Resolves and fetches, as nobody in particular.
    pub async fn pull(&self, text: &str) -> Result<(Resolved, RootFs), ImageError> {
        self.pull_as(text, None, company()).await
    }

    /// Resolves and fetches.
    pub async fn pull_as(
        &self,
        text: &str,
        login: Option<&Login>,
        owner: CompanyId,
    ) -> Result<(Resolved, RootFs), ImageError> {
        let reference = Reference::parse(text).unwrap();
        let resolved = self.store.resolve(&reference, login, owner).await?;
        let progress = Progress::new();
        let rootfs = self.store.fetch(&resolved.manifest, &reference, login, owner, &progress).await?;
        Ok((resolved, rootfs))
    }

    /// Resolves with the login of [`ada`].
    pub async fn resolve_as_ada(&self, text: &str) -> Result<Resolved, ImageError> {
        self.store.resolve(&Reference::parse(text).unwrap(), Some(&ada()), company()).await
    }

    /// Files of the layer at `index`.
    pub fn files(&self, rootfs: &RootFs, index: usize) -> PathBuf {
        self.store.layers_root().join(rootfs.layers[index].hex()).join("fs")
    }

    /// Nothing is left of work that failed, and nothing of it is taken for a layer.
    #[track_caller]
    pub fn is_clean(&self) {
        self.tmp_becomes_empty();
        assert_eq!(self.names("layers"), Vec::<String>::new());
    }

    /// Work that was cut short is cleared away soon.
    #[track_caller]
    pub fn tmp_becomes_empty(&self) {
        // A process that is killed while it gets its network namespace ends only then, which a busy kernel makes wait.
        let deadline = Instant::now() + Duration::from_secs(180);
        while !self.left_in_tmp().is_empty() {
            assert!(
                Instant::now() < deadline,
                "left in tmp: {:?}\n{}",
                self.left_in_tmp(),
                listing(&self.root().join("tmp")).join("\n")
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What lies in `tmp/` beside the empty folder of the store that works there.
    fn left_in_tmp(&self) -> Vec<String> {
        let folders = self.names("tmp");
        let (mine, mut left): (Vec<_>, Vec<_>) =
            folders.into_iter().partition(|name| name.starts_with(&format!("{}-", std::process::id())));
        left.extend(mine.iter().flat_map(|folder| self.names(&format!("tmp/{folder}"))));
        left
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root().join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

pub fn config(root: &Path, insecure: &[String], change: impl FnOnce(&mut Config)) -> Config {
    let unpack = RoleCommand { program: env!("CARGO_BIN_EXE_image-unpack").into(), args: Vec::new() };
    let mut config = Config::new(root.to_owned(), unpack);
    config.insecure_registries = insecure.to_vec();
    change(&mut config);
    config
}

/// Everything beneath a folder, one line each: kind, mode, owner, path, link target or content.
pub fn listing(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    walk(root, root, &mut lines);
    lines.sort();
    lines
}

fn walk(root: &Path, folder: &Path, lines: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        let kind = meta.file_type();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let more = if kind.is_symlink() {
            format!("-> {}", fs::read_link(&path).unwrap().display())
        } else if kind.is_file() {
            format!(
                "= {:?}",
                String::from_utf8_lossy(&fs::read(&path).unwrap()).chars().take(40).collect::<String>()
            )
        } else {
            String::new()
        };
        let letter = match () {
            () if kind.is_dir() => 'd',
            () if kind.is_symlink() => 'l',
            () if kind.is_file() => 'f',
            () if kind.is_fifo() => 'p',
            () if kind.is_char_device() && meta.rdev() == 0 => 'w',
            () => '?',
        };
        let line = format!("{name} {letter}{:o} {}:{} {more}", meta.mode() & 0o7777, meta.uid(), meta.gid());
        lines.push(line.trim_end().to_owned());
        if kind.is_dir() {
            walk(root, &path, lines);
        }
    }
}
