//! Companies do not get at each other's images: what is on disk counts only for who proved access to it.

use std::time::{Duration, Instant};

use image::{LayerState, Login, Progress};
use model::image::Reference;
use model::{CompanyId, FailureCode as Code};
use testkit::image::{Built, Image, Layer, Tar};
use testkit::registry::{Bad, Fault, Good};

use crate::support::{Bench, company, fails, is_root};

fn neighbour() -> CompanyId {
    "01920000-0000-7000-8000-000000000002".parse().unwrap()
}

fn private_image() -> Built {
    let layer = Layer::gzip(Tar::new().file("private", vec![b'p'; 100_000], 0o644));
    Image::new().layer(layer).env("SECRET", "of-company-a").build()
}

fn layer_downloads(registry: &Bad, image: &Built) -> usize {
    let layer = testkit::image::digest(&image.blobs[1]);
    registry.seen().iter().filter(|seen| seen.path.ends_with(&layer)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cached_private_image_is_refused_without_its_credential() {
    if !is_root() {
        return;
    }
    let registry = Good::with_htpasswd("ada", "a-password").unwrap();
    let image = private_image();
    let login = Login::new("ada", "a-password");
    image.push_to(&registry.remote().login("ada", "a-password"), "team/app", "1").await.unwrap();
    let bench = Bench::new(&[registry.host()]);
    let (by_tag, by_digest) =
        (format!("{}/team/app:1", registry.host()), format!("{}/team/app@{}", registry.host(), image.digest));
    let (resolved, _) = bench.pull_as(&by_tag, Some(&login), company()).await.unwrap();

    for name in [&by_tag, &by_digest] {
        fails(bench.pull_as(name, None, neighbour()).await, Code::RegistryUnauthorized, "without a login");
        let wrong = Login::new("ada", "another");
        fails(bench.pull_as(name, Some(&wrong), neighbour()).await, Code::CredentialRejected, "of ada");
        // The company's own access is asked for each time, too.
        fails(bench.pull_as(name, None, company()).await, Code::RegistryUnauthorized, "without a login");
    }
    // Not even the second half works alone, with a digest that somebody told.
    let reference = Reference::parse(&by_tag).unwrap();
    let fetched =
        bench.store.fetch(&resolved.manifest, &reference, None, neighbour(), &Progress::new()).await;
    fails(fetched, Code::RegistryUnauthorized, "without a login");
    let renamed = Reference::parse("localhost/x:1").unwrap();
    let fetched = bench.store.fetch(&resolved.manifest, &renamed, None, neighbour(), &Progress::new()).await;
    fails(fetched, Code::ImageNotFound, "");
    // Nor does the disk alone give it to who never had it.
    let here = |owner| bench.store.rootfs_for(&resolved.manifest, owner).unwrap().is_some();
    assert!(here(company()) && !here(neighbour()));
    // Knowing what it is made of proves nothing about its layers.
    let asked = Reference::parse(&by_tag).unwrap();
    bench.store.resolve(&asked, Some(&login), neighbour()).await.unwrap();
    assert!(!here(neighbour()));
    // Who has the credential proves it by downloading.
    bench.pull_as(&by_tag, Some(&login), neighbour()).await.unwrap();
    assert!(here(neighbour()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn naming_the_parts_of_another_companys_image_gives_nothing() {
    if !is_root() {
        return;
    }
    let (registry, attacker) = (Bad::start().await.unwrap(), Bad::start().await.unwrap());
    let image = private_image();
    registry.serve("app", &image, Fault::None);
    let bench = Bench::new(&[registry.host(), attacker.host()]);
    bench.pull(&format!("{}/app:1", registry.host())).await.unwrap();

    // The same manifest, whose bytes are easy to know, and nothing behind it.
    let mut empty = image.clone();
    empty.blobs.clear();
    attacker.serve("same", &empty, Fault::None);
    let stolen = bench.pull_as(&format!("{}/same:1", attacker.host()), None, neighbour()).await;
    fails(stolen, Code::ConfigInvalid, "missing");

    // A manifest and a configuration of the attacker's own, around a layer that is not theirs.
    let mut own = private_image();
    own.blobs.truncate(1);
    attacker.serve("layer", &own, Fault::None);
    let stolen = bench.pull_as(&format!("{}/layer:1", attacker.host()), None, neighbour()).await;
    fails(stolen, Code::LayerMissing, "");

    // A layer of the attacker's own that claims to unpack to the other one's files.
    let diff_id = Layer::gzip(Tar::new().file("private", vec![b'p'; 100_000], 0o644)).diff_id;
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    });
    let lying = Image::new().layer(Layer::gzip(Tar::new().file("x", "x", 0o644))).build_with_config(&config);
    attacker.serve("lying", &lying, Fault::None);
    let stolen = bench.pull_as(&format!("{}/lying:1", attacker.host()), None, neighbour()).await;
    fails(stolen, Code::DigestMismatch, "");

    bench.tmp_becomes_empty();
    bench.pull(&format!("{}/app:1", registry.host())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_company_downloads_once_and_so_does_the_next() {
    if !is_root() {
        return;
    }
    let registry = Bad::start().await.unwrap();
    let image = private_image();
    registry.serve("app", &image, Fault::None);
    let bench = Bench::new(&[registry.host()]);
    let name = format!("{}/app:1", registry.host());
    for (owner, downloads) in [(company(), 1), (company(), 1), (neighbour(), 2), (neighbour(), 2)] {
        bench.pull_as(&name, None, owner).await.unwrap();
        assert_eq!(layer_downloads(&registry, &image), downloads);
    }
    let (resolved, rootfs) = bench.pull_as(&name, None, neighbour()).await.unwrap();
    assert!(bench.files(&rootfs, 0).join("private").exists());

    // The sweep keeps the marks of what stays and forgets those of what goes.
    bench.store.sweep(&[resolved.digest]).unwrap();
    bench.pull_as(&name, None, neighbour()).await.unwrap();
    assert_eq!(layer_downloads(&registry, &image), 2);
    bench.store.sweep(&[]).unwrap();
    assert_eq!(std::fs::read_dir(bench.root().join("proofs")).unwrap().count(), 0);
    bench.is_clean();
    bench.pull_as(&name, None, company()).await.unwrap();
    assert_eq!(layer_downloads(&registry, &image), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loaded_images_are_everybodys() {
    if !is_root() {
        return;
    }
    let registry = Bad::start().await.unwrap();
    let image = private_image();
    registry.serve("app", &image, Fault::None);
    let bench = Bench::new(&[registry.host()]);
    let layout = bench.folder.path().join("layout");
    image.write_layout(&layout, "1").unwrap();
    let name = |text: &str| Reference::parse(text).unwrap();

    // An archive without the bytes makes nothing everybody's.
    bench.pull(&format!("{}/app:1", registry.host())).await.unwrap();
    let blob = layout.join("blobs/sha256").join(&testkit::image::digest(&image.blobs[1])[7..]);
    let bytes = std::fs::read(&blob).unwrap();
    std::fs::remove_file(&blob).unwrap();
    fails(bench.store.load(&layout, &name("localhost/app:1")).await, Code::LayerMissing, "");
    std::fs::write(&blob, bytes).unwrap();

    bench.store.load(&layout, &name("localhost/app:1")).await.unwrap();
    bench.pull_as("localhost/app:1", None, neighbour()).await.unwrap();
    let by_digest = format!("localhost/app@{}", image.digest);
    bench.pull_as(&by_digest, None, neighbour()).await.unwrap();
    bench.pull_as(&format!("localhost/app:old@{}", image.digest), None, neighbour()).await.unwrap();
    let other = format!("localhost/other@{}", image.digest);
    fails(bench.pull_as(&other, None, neighbour()).await, Code::ImageNotFound, "loaded");
    let unknown = format!("localhost/app@{}", testkit::image::digest(b"nothing"));
    fails(bench.pull_as(&unknown, None, neighbour()).await, Code::ImageNotFound, "loaded");

    // A layer that everybody may use is not downloaded again.
    registry.forget();
    let (reference, progress) = (name(&format!("{}/app:1", registry.host())), Progress::new());
    let resolved = bench.store.resolve(&reference, None, neighbour()).await.unwrap();
    bench.store.fetch(&resolved.manifest, &reference, None, neighbour(), &progress).await.unwrap();
    assert!(progress.snapshot().iter().all(|layer| layer.state == LayerState::Shared));
    assert_eq!(layer_downloads(&registry, &image), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_pull_of_one_company_holds_up_no_other() {
    if !is_root() {
        return;
    }
    let (slow, quick) = (Bad::start().await.unwrap(), Bad::start().await.unwrap());
    let layer = |n: u8| Layer::gzip(Tar::new().file("own", vec![n; 1000], 0o644));
    let image = (0..12).fold(Image::new(), |image, n| image.layer(layer(n))).build();
    slow.serve("app", &image, Fault::Stall { after: 10 });
    quick.serve("app", &image, Fault::None);
    let bench = Bench::with(&[slow.host(), quick.host()], |config| {
        config.parallel_layers = 12;
        config.timeouts.idle = Duration::from_secs(600);
    });

    let reference = Reference::parse(&format!("{}/app:1", slow.host())).unwrap();
    let resolved = bench.store.resolve(&reference, None, company()).await.unwrap();
    let (store, progress) = (bench.store.clone(), Progress::new());
    let watched = progress.clone();
    let stuck = tokio::spawn(async move {
        store.fetch(&resolved.manifest, &reference, None, company(), &progress).await.map(drop)
    });
    let deadline = Instant::now() + Duration::from_secs(60);
    let under_way = || watched.snapshot().iter().filter(|layer| layer.done_bytes > 0).count();
    while under_way() < 4 {
        assert!(Instant::now() < deadline, "{:?}", watched.snapshot());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    // The same layers, and more of them than slots.
    let name = format!("{}/app:1", quick.host());
    let pulled = tokio::time::timeout(Duration::from_secs(60), bench.pull_as(&name, None, neighbour())).await;
    assert_eq!(pulled.expect("it waits for the other company").unwrap().1.layers.len(), 12);
    assert_eq!(under_way(), 4, "a company has half of the slots");
    stuck.abort();
    let _ = stuck.await;
    bench.tmp_becomes_empty();
}
