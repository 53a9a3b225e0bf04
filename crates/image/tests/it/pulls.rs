//! Pulls that work.

use std::fs;
use std::os::unix::fs::MetadataExt;

use image::{LayerState, Progress};
use model::FailureCode;
use model::image::{DirFix, Reference};
use testkit::image::{Entry, Image, Index, Layer, Tar};
use testkit::registry::{Bad, Fault, Good};

use crate::support::{Bench, company, is_root, listing};

fn three_layers() -> Image {
    let base = Tar::new().dir("etc", 0o755).file("etc/base", "base", 0o644).file("etc/gone", "x", 0o600);
    let middle =
        Tar::new().dir("etc", 0o755).file("etc/.wh.gone", "", 0o644).symlink("etc/link", "/etc/base");
    let top = Tar::new().entry(Entry::new(b'0', "app/run").mode(0o4755).owner(1000, 2000).data("run"));
    Image::new().layer(Layer::gzip(base)).layer(Layer::zstd(middle)).layer(Layer::plain(top))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gzip_zstd_and_plain_layers_come_from_debians_registry() {
    if !is_root() {
        return;
    }
    let registry = Good::start().unwrap();
    let image = three_layers().entrypoint(&["/app/run"]).env("A", "1").expose(8080).user("1000").build();
    image.push(&registry.host(), "demo/app", "1").await.unwrap();
    let bench = Bench::new(&[registry.host()]);

    let text = format!("{}/demo/app:1", registry.host());
    let (resolved, rootfs) = bench.pull(&text).await.unwrap();
    assert_eq!(resolved.digest.as_str(), image.digest);
    assert_eq!(resolved.manifest, resolved.digest);
    assert_eq!(resolved.platform.to_string(), "linux/amd64");
    assert_eq!(resolved.config.entrypoint, ["/app/run"]);
    assert_eq!(resolved.config.exposed_ports[0].port, 8080);
    assert_eq!(rootfs.layers.len(), 3);

    assert_eq!(
        listing(&bench.files(&rootfs, 0)),
        ["etc d755 0:0", "etc/base f644 0:0 = \"base\"", "etc/gone f600 0:0 = \"x\""]
    );
    assert_eq!(
        listing(&bench.files(&rootfs, 1)),
        ["etc d755 0:0", "etc/gone w0 0:0", "etc/link l777 0:0 -> /etc/base"]
    );
    assert_eq!(listing(&bench.files(&rootfs, 2)), ["app d755 0:0", "app/run f4755 1000:2000 = \"run\""]);
    let layer = bench.files(&rootfs, 0).parent().unwrap().to_owned();
    assert_eq!(
        fs::metadata(&layer).unwrap().mode() & 0o7777,
        0o700,
        "other users of the host cannot look in"
    );
    assert_eq!(fs::metadata(bench.files(&rootfs, 2).join("app/run")).unwrap().mtime(), 1_700_000_000);

    drop(registry);
    let reference = Reference::parse(&text).unwrap();
    let progress = Progress::new();
    let again = bench.store.fetch(&resolved.manifest, &reference, None, company(), &progress).await.unwrap();
    assert_eq!(again, rootfs, "with everything here, no registry is needed");
    assert!(progress.snapshot().iter().all(|layer| layer.state == LayerState::Shared));
    assert_eq!(bench.store.rootfs_for(&resolved.manifest, company()).unwrap(), Some(rootfs));
    let error = bench.store.resolve(&reference, None, company()).await.unwrap_err();
    assert_eq!(error.code(), FailureCode::RegistryUnreachable, "{error}");
    assert!(error.to_string().contains("demo/app:1"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_manifests_and_indexes_are_understood() {
    if !is_root() {
        return;
    }
    let registry = Good::start().unwrap();
    let layer = || Layer::gzip(Tar::new().file("hello", "x", 0o755));
    let docker = Image::new().layer(layer()).docker().build();
    docker.push(&registry.host(), "docker", "1").await.unwrap();
    let arm = Image::new().layer(layer()).platform("linux", "arm64").build();
    let amd = Image::new().layer(layer()).env("IS", "amd64").build();
    let index = Index::new().image(arm.clone()).image(amd.clone()).build();
    index.push(&registry.host(), "multi", "1").await.unwrap();
    Index::new().image(arm.clone()).build().push(&registry.host(), "arm", "1").await.unwrap();
    arm.push(&registry.host(), "arm-alone", "1").await.unwrap();
    let bench = Bench::new(&[registry.host()]);

    let (resolved, _) = bench.pull(&format!("{}/docker:1", registry.host())).await.unwrap();
    assert_eq!(resolved.digest.as_str(), docker.digest);
    let (resolved, _) = bench.pull(&format!("{}/multi:1", registry.host())).await.unwrap();
    assert_eq!((resolved.digest.as_str(), resolved.manifest.as_str()), (&*index.digest, &*amd.digest));
    let platforms: Vec<String> = resolved.platforms.iter().map(|entry| entry.platform.to_string()).collect();
    assert_eq!(platforms, ["linux/arm64", "linux/amd64"]);
    let by_digest = format!("{}/multi@{}", registry.host(), index.digest);
    assert_eq!(bench.pull(&by_digest).await.unwrap().0.manifest, resolved.manifest);

    for name in ["arm", "arm-alone"] {
        let error = bench.pull(&format!("{}/{name}:1", registry.host())).await.unwrap_err();
        assert_eq!(error.code(), FailureCode::PlatformMissing);
        assert_eq!(error.platforms().iter().map(ToString::to_string).collect::<Vec<_>>(), ["linux/arm64"]);
        assert!(error.to_string().contains("no linux/amd64; it has: linux/arm64"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_images_tags_and_digests_are_told_apart() {
    let registry = Good::start().unwrap();
    let image = three_layers().build();
    image.push(&registry.host(), "known", "1").await.unwrap();
    let bench = Bench::new(&[registry.host()]);
    let digest = testkit::image::digest(b"nothing");
    for (name, code, says) in [
        ("unknown:1", FailureCode::ImageNotFound, "has no image unknown"),
        ("known:2", FailureCode::TagNotFound, "has no tag \"2\""),
        (&*format!("known@{digest}"), FailureCode::DigestNotFound, &*format!("has no digest {digest}")),
    ] {
        let error = bench.pull(&format!("{}/{name}", registry.host())).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.hint().is_some());
    }
    let error = bench.pull(&format!("{}/known:2", registry.host())).await.unwrap_err();
    assert_eq!(error.hint().unwrap(), "Tags it has: 1.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_layer_in_two_pulls_is_downloaded_once() {
    if !is_root() {
        return;
    }
    let registry = Bad::start().await.unwrap();
    let shared = Layer::gzip(Tar::new().file("shared", vec![b'x'; 1 << 20], 0o644));
    let own = |name: &str| Layer::gzip(Tar::new().file(name, name, 0o644));
    let blob = shared.digest.clone();
    registry.serve("a", &Image::new().layer(shared.clone()).layer(own("a")).build(), Fault::None);
    let twice = Image::new().layer(shared.clone()).layer(own("b")).layer(shared).build();
    registry.serve("b", &twice, Fault::None);
    let bench = Bench::new(&[registry.host()]);

    let (a, b) = (format!("{}/a:1", registry.host()), format!("{}/b:1", registry.host()));
    let (a, b) = tokio::join!(bench.pull(&a), bench.pull(&b));
    let (a, b) = (a.unwrap().1, b.unwrap().1);
    assert_eq!(a.layers[0], b.layers[0]);
    assert_eq!(b.layers[0], b.layers[2], "one layer twice in an image");
    let downloads = registry.seen().iter().filter(|seen| seen.path.ends_with(&blob)).count();
    assert_eq!(downloads, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_asked_for_anonymously_and_kept() {
    if !is_root() {
        return;
    }
    let registry = Bad::start().await.unwrap();
    registry.serve("public", &three_layers().build(), Fault::Token { login: None });
    let bench = Bench::new(&[registry.host()]);
    bench.pull(&format!("{}/public:1", registry.host())).await.unwrap();
    let seen = registry.seen();
    let tokens: Vec<_> = seen.iter().filter(|seen| seen.path.starts_with("/token")).collect();
    assert_eq!(tokens.len(), 1, "one token serves manifest, configuration and layers");
    assert!(tokens[0].headers.get("authorization").is_none());
    assert!(
        tokens[0].path.contains("service=the+test") && tokens[0].path.contains("scope="),
        "{}",
        tokens[0].path
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn implied_directories_take_mode_and_owner_from_below() {
    if !is_root() {
        return;
    }
    let registry = Bad::start().await.unwrap();
    let dir = |name: &str, mode, uid| Entry::new(b'5', name).mode(mode).owner(uid, uid);
    let base = Tar::new()
        .entry(dir("tmp", 0o1777, 0))
        .entry(dir("home", 0o750, 7))
        .entry(dir("opaque", 0o700, 8))
        .entry(dir("opaque/in", 0o711, 8))
        .entry(dir("gone", 0o700, 9))
        .entry(dir("plain", 0o755, 0))
        .entry(dir("late", 0o700, 3));
    let middle = Tar::new()
        .file("home/between", "", 0o644)
        .file("opaque/.wh..wh..opq", "", 0o644)
        .file(".wh.gone", "", 0o644);
    let top = Tar::new()
        .file("tmp/x", "", 0o644)
        .file("home/y", "", 0o644)
        .file("opaque/in/z", "", 0o644)
        .file("gone/z", "", 0o644)
        .file("plain/z", "", 0o644)
        .file("late/z", "", 0o644)
        .file("new/z", "", 0o644);
    let last = Tar::new().entry(dir("late", 0o705, 4));
    let image = Image::new().layer(Layer::gzip(base)).layer(Layer::gzip(middle)).layer(Layer::gzip(top));
    registry.serve("implied", &image.layer(Layer::gzip(last)).build(), Fault::None);
    let bench = Bench::new(&[registry.host()]);
    let (resolved, rootfs) = bench.pull(&format!("{}/implied:1", registry.host())).await.unwrap();
    let fix = |path: &str, mode, id| DirFix { path: path.to_owned(), mode, uid: id, gid: id };
    assert_eq!(rootfs.dir_fixes, [fix("home", 0o750, 7), fix("tmp", 0o1777, 0)]);
    assert_eq!(
        bench.store.rootfs_for(&resolved.manifest, company()).unwrap().unwrap().dir_fixes,
        rootfs.dir_fixes
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweeping_keeps_what_is_needed() {
    if !is_root() {
        return;
    }
    let registry = Bad::start().await.unwrap();
    let layer = |name: &str| Layer::gzip(Tar::new().dir("d", 0o755).file(&format!("d/{name}"), name, 0o644));
    registry.serve("a", &Image::new().layer(layer("shared")).layer(layer("a")).build(), Fault::None);
    registry.serve("b", &Image::new().layer(layer("shared")).layer(layer("b")).build(), Fault::None);
    let bench = Bench::new(&[registry.host()]);
    let (a, rootfs_a) = bench.pull(&format!("{}/a:1", registry.host())).await.unwrap();
    let (b, _) = bench.pull(&format!("{}/b:1", registry.host())).await.unwrap();

    let swept = bench.store.sweep(std::slice::from_ref(&a.manifest)).unwrap();
    assert_eq!((swept.layers, swept.documents), (1, 2));
    assert_eq!(bench.store.rootfs_for(&a.manifest, company()).unwrap(), Some(rootfs_a));
    assert_eq!(bench.store.rootfs_for(&b.manifest, company()).unwrap(), None);
    let swept = bench.store.sweep(&[]).unwrap();
    assert_eq!((swept.layers, swept.documents), (2, 2));
    bench.is_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_oci_layout_is_loaded_without_network() {
    if !is_root() {
        return;
    }
    let bench = Bench::new(&[]);
    let image = three_layers().cmd(&["serve"]).build();
    let (folder, archive) = (bench.folder.path().join("layout"), bench.folder.path().join("image.tar"));
    image.write_layout(&folder, "1").unwrap();
    image.write_archive(&archive, "1").unwrap();
    let name = |text: &str| Reference::parse(text).unwrap();

    let error = bench.store.resolve(&name("localhost/hello:1"), None, company()).await.unwrap_err();
    assert_eq!(error.code(), FailureCode::ImageNotFound);
    assert!(error.hint().unwrap().contains("darsena images load"), "{:?}", error.hint());

    for (path, text) in [(&folder, "localhost/hello:1"), (&archive, "localhost/hello:2")] {
        let loaded = bench.store.load(path, &name(text)).await.unwrap();
        assert_eq!(loaded.digest.as_str(), image.digest);
        let (resolved, rootfs) = bench.pull(text).await.unwrap();
        assert_eq!(resolved.config.cmd, ["serve"]);
        assert_eq!(rootfs.layers.len(), 3);
    }
    bench.store.sweep(&[]).unwrap();
    assert!(bench.pull("localhost/hello:1").await.is_ok(), "a loaded image is needed by its name");

    let error = bench.store.load(&folder, &name("ghcr.io/o/a:1")).await.unwrap_err();
    assert!(error.to_string().contains("localhost/NAME:TAG"), "{error}");
    let error =
        bench.store.load(std::path::Path::new("/etc/passwd"), &name("localhost/x")).await.unwrap_err();
    assert_eq!(error.code(), FailureCode::ManifestInvalid, "{error}");
    let blob = folder.join("blobs/sha256").join(&testkit::image::digest(&image.blobs[1])[7..]);
    fs::write(&blob, "spoiled").unwrap();
    let fresh = Bench::new(&[]);
    let error = fresh.store.load(&folder, &name("localhost/x")).await.unwrap_err();
    assert_eq!(error.code(), FailureCode::DigestMismatch, "{error}");
    fresh.tmp_becomes_empty();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_the_store_removes_what_was_interrupted() {
    let bench = Bench::new(&[]);
    let left = bench.root().join("tmp/77/fs/a/b");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("c"), "x").unwrap();
    fs::write(bench.root().join("tmp/78"), "x").unwrap();
    image::ImageStore::open(crate::support::config(&bench.root(), &[], |_| {})).unwrap();
    bench.is_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_program_pushed_is_pulled() {
    const SKOPEO: &str = "/usr/bin/skopeo";
    if !is_root() {
        return;
    }
    if !std::path::Path::new(SKOPEO).exists() {
        crate::support::not_run("the package skopeo");
        return;
    }
    let registry = Good::start().unwrap();
    let layout = tempfile::tempdir().unwrap();
    let tar = Tar::new().host_tree(std::path::Path::new("/etc/apt")).unwrap();
    let tar = tar.host_program(std::path::Path::new("/bin/true")).unwrap();
    Image::new().layer(Layer::gzip(tar)).build().write_layout(layout.path(), "1").unwrap();
    let bench = Bench::new(&[registry.host()]);
    for form in ["v2s2", "oci"] {
        let copied = std::process::Command::new(SKOPEO)
            .args(["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false", "--format", form])
            .arg(format!("oci:{}:1", layout.path().display()))
            .arg(format!("docker://{}/skopeo/{form}:1", registry.host()))
            .output()
            .unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        let (resolved, rootfs) = bench.pull(&format!("{}/skopeo/{form}:1", registry.host())).await.unwrap();
        assert_eq!(resolved.media_type.contains("docker"), form == "v2s2");
        let here = listing(std::path::Path::new("/etc/apt"));
        assert_eq!(listing(&bench.files(&rootfs, 0).join("etc/apt")), here);
    }
}

/// The futures go on tasks of their own, and dropping one half-way leaves nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_that_is_given_up_leaves_nothing() {
    if !is_root() {
        return;
    }
    let registry = Bad::start().await.unwrap();
    let image = Image::new().layer(Layer::plain(Tar::new().file("large", vec![1; 4 << 20], 0o644))).build();
    registry.serve("slow", &image, Fault::Stall { after: 1 << 20 });
    let bench = Bench::new(&[registry.host()]);
    let reference = Reference::parse(&format!("{}/slow:1", registry.host())).unwrap();
    let resolved = bench.store.resolve(&reference, None, company()).await.unwrap();
    let (store, progress) = (bench.store.clone(), Progress::new());
    let watched = progress.clone();
    let pull = tokio::spawn(async move {
        store.fetch(&resolved.manifest, &reference, None, company(), &progress).await.map(drop)
    });
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while watched.snapshot().first().is_none_or(|layer| layer.done_bytes < 1 << 20) {
        assert!(std::time::Instant::now() < deadline, "{:?}", watched.snapshot());
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(watched.snapshot()[0].state, LayerState::Pulling);
    pull.abort();
    assert!(pull.await.unwrap_err().is_cancelled());
    bench.is_clean();
}
