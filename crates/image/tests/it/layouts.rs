//! Images for a builder, and images that one made: OCI layouts that are written from a registry, and taken for one
//! company.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use image::{ImageError, Login, Progress};
use model::image::{Digest, Reference};
use model::{CompanyId, FailureCode as Code};
use testkit::image::{Built, Image, Index, Layer, Tar};
use testkit::registry::{Bad, Fault, Good};

use crate::support::{Bench, company, fails, is_root, listing, not_run};

fn neighbour() -> CompanyId {
    "01920000-0000-7000-8000-000000000002".parse().unwrap()
}

fn name() -> Reference {
    Reference::parse("localhost/built:1").unwrap()
}

/// Bytes that do not get smaller.
fn noise(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed;
    let next = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    });
    next.take(length).collect()
}

fn two_layers() -> Image {
    let base = Tar::new().dir("etc", 0o755).file("etc/base", "base", 0o644);
    let top = Tar::new().file("large", noise(7, 3 << 20), 0o644);
    Image::new().layer(Layer::gzip(base.clone())).layer(Layer::gzip(top)).layer(Layer::gzip(base))
}

fn every_compression() -> Image {
    let tar = |name: &str| Tar::new().file(name, name, 0o644);
    Image::new()
        .layer(Layer::gzip(tar("gzip")))
        .layer(Layer::zstd(tar("zstd")))
        .layer(Layer::plain(tar("plain")))
        .layer(Layer::gzip(tar("gzip")))
}

/// A folder for an export.
fn empty(bench: &Bench, name: &str) -> PathBuf {
    let folder = bench.folder.path().join(name);
    fs::create_dir(&folder).unwrap();
    folder
}

async fn export(bench: &Bench, text: &str, login: Option<&Login>, into: &Path) -> Result<Digest, ImageError> {
    let reference = Reference::parse(text).unwrap();
    let resolved = bench.store.resolve(&reference, login, company()).await?;
    bench.store.export(&resolved.manifest, &reference, login, company(), into).await?;
    Ok(resolved.manifest)
}

/// Another program's opinion of a layout: its configuration.
fn inspected(layout: &Path) -> String {
    let program = Command::new("/usr/bin/skopeo")
        .args(["--insecure-policy", "inspect", "--config", "--raw"])
        .arg(format!("oci:{}", layout.display()))
        .env_clear()
        .output()
        .unwrap();
    assert!(program.status.success(), "{}", String::from_utf8_lossy(&program.stderr));
    String::from_utf8(program.stdout).unwrap()
}

/// A builder pulls a layout into a storage of its own, and unpacks it there.
fn pulled(layout: &Path, storage: &Path) {
    fs::create_dir(storage).unwrap();
    let policy = storage.join("policy.json");
    fs::write(&policy, r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).unwrap();
    let program = Command::new("/usr/bin/buildah")
        .arg("--root")
        .arg(storage.join("root"))
        .arg("--runroot")
        .arg(storage.join("run"))
        .args(["--storage-driver", "vfs", "pull", "--quiet", "--signature-policy"])
        .arg(policy)
        // It makes a name of the path, in which it takes no capitals.
        .current_dir(layout.parent().unwrap())
        .arg(format!("oci:{}", layout.file_name().unwrap().to_str().unwrap()))
        .env_clear()
        .env("HOME", storage)
        .env("TMPDIR", storage)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .unwrap();
    assert!(program.status.success(), "{}", String::from_utf8_lossy(&program.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_exported_is_read_by_another_program() {
    if !is_root() {
        return;
    }
    let registry = Good::with_htpasswd("ada", "a-password").unwrap();
    let (remote, login) = (registry.remote().login("ada", "a-password"), Login::new("ada", "a-password"));
    let oci = every_compression().env("FORM", "oci").build();
    oci.push_to(&remote, "base/oci", "1").await.unwrap();
    every_compression()
        .env("FORM", "docker")
        .docker()
        .build()
        .push_to(&remote, "base/docker", "1")
        .await
        .unwrap();
    let bench = Bench::new(&[registry.host()]);

    for form in ["oci", "docker"] {
        let into = empty(&bench, form);
        let text = format!("{}/base/{form}:1", registry.host());
        let refused = export(&bench, &text, None, &into).await;
        fails(refused, Code::RegistryUnauthorized, "without a login");
        assert!(listing(&into).is_empty());

        export(&bench, &text, Some(&login), &into).await.unwrap();
        let names: Vec<String> = fs::read_dir(into.join("blobs/sha256"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names.len(), 5, "manifest, configuration and three layers: {names:?}");
        assert!(names.iter().all(|name| name.len() == 64), "{names:?}");
        match Path::new("/usr/bin/skopeo").exists() {
            true => assert!(inspected(&into).contains(&format!("FORM={form}"))),
            false => not_run("the package skopeo"),
        }
        match Path::new("/usr/bin/buildah").exists() {
            true => pulled(&into, &bench.folder.path().join(format!("{form}-pulled"))),
            false => not_run("the package buildah"),
        }
        // What it says it is comes in place again, from the layout alone.
        let fresh = Bench::new(&[]);
        let taken = fresh.store.take(&into, &name(), company()).await.unwrap();
        assert_eq!(taken.layers.len(), 4);
    }
    assert!(bench.store.rootfs_for(&oci.digest.parse().unwrap(), company()).unwrap().is_none());
    bench.is_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_company_exports_only_what_its_own_login_gets() {
    if !is_root() {
        return;
    }
    let registry = Good::with_htpasswd("ada", "a-password").unwrap();
    let login = Login::new("ada", "a-password");
    let image = two_layers().build();
    image.push_to(&registry.remote().login("ada", "a-password"), "base", "1").await.unwrap();
    let bench = Bench::new(&[registry.host()]);
    let text = format!("{}/base:1", registry.host());
    let reference = Reference::parse(&text).unwrap();
    let (resolved, _) = bench.pull_as(&text, Some(&login), company()).await.unwrap();

    let into = empty(&bench, "stolen");
    for owner in [neighbour(), company()] {
        let stolen = bench.store.export(&resolved.manifest, &reference, None, owner, &into).await;
        fails(stolen, Code::RegistryUnauthorized, "without a login");
        assert!(!into.join("index.json").exists());
        let _ = fs::remove_dir_all(into.join("blobs"));
    }
    let into = empty(&bench, "own");
    bench.store.export(&resolved.manifest, &reference, Some(&login), neighbour(), &into).await.unwrap();
    assert!(into.join("index.json").exists());

    let loaded = bench.store.export(&resolved.manifest, &name(), None, company(), &into).await;
    fails(loaded, Code::ManifestUnsupported, "Push it to a registry");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_resumes_and_refuses_wrong_bytes() {
    let registry = Bad::start().await.unwrap();
    let image = two_layers().build();
    let bench = Bench::new(&[registry.host()]);
    let text = format!("{}/base:1", registry.host());

    registry.serve("base", &image, Fault::Cut { after: 1 << 20, has_ranges: true, times: usize::MAX });
    let into = empty(&bench, "cut");
    export(&bench, &text, None, &into).await.unwrap();
    assert!(registry.seen().iter().filter(|seen| seen.headers.contains_key("range")).count() >= 2);
    for blob in &image.blobs {
        let written = fs::read(into.join("blobs/sha256").join(&testkit::image::digest(blob)[7..])).unwrap();
        assert!(written == *blob);
    }

    registry.serve("base", &image, Fault::WrongBytes { times: 1 });
    export(&bench, &text, None, &empty(&bench, "passing")).await.unwrap();
    for (number, fault) in [Fault::WrongBytes { times: usize::MAX }, Fault::TooLong].into_iter().enumerate() {
        registry.serve("base", &image, fault);
        let into = empty(&bench, &format!("wrong-{number}"));
        fails(export(&bench, &text, None, &into).await, Code::DigestMismatch, "does not match");
        assert!(!into.join("index.json").exists());
        let left = listing(&into.join("blobs/sha256"));
        assert!(left.iter().all(|line| !line.contains(".part")), "{left:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_that_is_given_up_is_no_layout() {
    let registry = Bad::start().await.unwrap();
    registry.serve("slow", &two_layers().build(), Fault::Stall { after: 1 << 20 });
    let bench = Bench::new(&[registry.host()]);
    let reference = Reference::parse(&format!("{}/slow:1", registry.host())).unwrap();
    let resolved = bench.store.resolve(&reference, None, company()).await.unwrap();
    let into = empty(&bench, "given-up");
    let (store, folder) = (bench.store.clone(), into.clone());
    let work =
        tokio::spawn(
            async move { store.export(&resolved.manifest, &reference, None, company(), &folder).await },
        );
    let deadline = Instant::now() + Duration::from_secs(60);
    let is_under_way = || {
        let Ok(files) = fs::read_dir(into.join("blobs/sha256")) else { return false };
        files.map(|file| file.unwrap().path()).any(|path| path.extension().is_some_and(|end| end == "part"))
    };
    while !is_under_way() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    work.abort();
    assert!(work.await.unwrap_err().is_cancelled());
    assert!(!is_under_way() && !into.join("index.json").exists() && !into.join("oci-layout").exists());
}

fn layout_of(bench: &Bench, name: &str, image: &Built) -> PathBuf {
    let folder = bench.folder.path().join(name);
    image.write_layout(&folder, "1").unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_is_one_companys() {
    if !is_root() {
        return;
    }
    let bench = Bench::new(&[]);
    let image = two_layers().env("A", "1").build();
    let layout = layout_of(&bench, "layout", &image);
    for entry in ["", "index.json", "oci-layout", "blobs", "blobs/sha256"] {
        std::os::unix::fs::chown(layout.join(entry), Some(200_000), Some(200_000)).unwrap();
    }
    let taken = bench.store.take(&layout, &name(), company()).await.unwrap();
    assert_eq!(taken.manifest.as_str(), image.digest);
    assert_eq!(taken.config.env, [("A".to_owned(), "1".to_owned())]);

    let here = |owner| bench.store.rootfs_for(&taken.manifest, owner).unwrap();
    let rootfs = here(company()).unwrap();
    assert_eq!(listing(&bench.files(&rootfs, 0)), ["etc d755 0:0", "etc/base f644 0:0 = \"base\""]);
    assert!(here(neighbour()).is_none());
    let by_name = bench.store.resolve(&name(), None, company()).await;
    fails(by_name, Code::ImageNotFound, "no image of that name");

    // A second company that builds the same gets the same files, once it had all the bytes itself.
    let spoiled = layout_of(&bench, "spoiled", &image);
    let blob = spoiled.join("blobs/sha256").join(&testkit::image::digest(&image.blobs[1])[7..]);
    fs::write(&blob, "spoiled").unwrap();
    fails(bench.store.take(&spoiled, &name(), neighbour()).await, Code::DigestMismatch, "a layer");
    fs::remove_file(&blob).unwrap();
    fails(bench.store.take(&spoiled, &name(), neighbour()).await, Code::LayerMissing, "");
    assert!(here(neighbour()).is_none());
    bench.store.take(&layout, &name(), neighbour()).await.unwrap();
    assert_eq!(here(neighbour()), Some(rootfs));

    // The layout is no longer needed, and nothing is fetched.
    fs::remove_dir_all(&layout).unwrap();
    bench.store.sweep(std::slice::from_ref(&taken.manifest)).unwrap();
    let (reference, progress) = (name(), Progress::new());
    let fetch = |owner| bench.store.fetch(&taken.manifest, &reference, None, owner, &progress);
    assert!(fetch(company()).await.is_ok());
    let never_built = "01920000-0000-7000-8000-000000000003".parse().unwrap();
    fails(fetch(never_built).await, Code::ImageNotFound, "loaded");
    bench.store.sweep(&[]).unwrap();
    assert!(here(company()).is_none());
    bench.is_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layouts_are_not_trusted() {
    if !is_root() {
        return;
    }
    let bench = Bench::new(&[]);
    let image = two_layers().build();
    let layer = format!("blobs/sha256/{}", &testkit::image::digest(&image.blobs[1])[7..]);
    let manifest = format!("blobs/sha256/{}", &image.digest[7..]);
    let other = layout_of(&bench, "other", &image);
    for (number, part) in ["index.json", "oci-layout", &manifest, &layer, "blobs", ""].into_iter().enumerate()
    {
        let layout = layout_of(&bench, &format!("linked-{number}"), &image);
        let path = if part.is_empty() { layout.clone() } else { layout.join(part) };
        match path.is_dir() {
            true => fs::remove_dir_all(&path).unwrap(),
            false => fs::remove_file(&path).unwrap(),
        }
        std::os::unix::fs::symlink(other.join(part), &path).unwrap();
        fails(bench.store.take(&layout, &name(), company()).await, Code::ManifestInvalid, "");
    }
    // Neither is waited for what never comes.
    let layout = layout_of(&bench, "fifo", &image);
    fs::remove_file(layout.join(&layer)).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        layout.join(&layer),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    fails(bench.store.take(&layout, &name(), company()).await, Code::ManifestInvalid, "no regular file");
    bench.is_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_for_another_machine_is_not_taken() {
    let bench = Bench::new(&[]);
    let arm = two_layers().platform("linux", "arm64").build();
    let refused = bench.store.take(&layout_of(&bench, "arm", &arm), &name(), company()).await;
    fails(refused, Code::PlatformMissing, "arm64");
    let index = Index::new().image(arm).build();
    let refused = bench.store.take(&layout_of(&bench, "index", &index), &name(), company()).await;
    fails(refused, Code::PlatformMissing, "arm64");
    bench.is_clean();
}
