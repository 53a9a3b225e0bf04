//! What is kept from build to build.

use std::fs;

use build::{Builder, News};

use crate::support::{Bench, is_root};

fn hits(bench: &Bench) -> usize {
    bench.around.take_news().iter().filter(|news| **news == News::Cached).count()
}

const COUNTING: &str =
    "FROM tools:1\nCOPY a /a\nRUN --mount=type=cache,target=/kept touch /kept/$(cat /a) && ls /kept\n";

#[tokio::test]
async fn layers_and_cache_mounts_are_kept_and_base_images_fetched_once() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    bench.build(&bench.order(&[("Dockerfile", COUNTING), ("a", "one")])).await.unwrap();
    assert_eq!(hits(&bench), 0);

    // The same files in another folder, written at another time.
    bench.build(&bench.order(&[("Dockerfile", COUNTING), ("a", "one")])).await.unwrap();
    assert_eq!(hits(&bench), 2);

    let built = bench.build(&bench.order(&[("Dockerfile", COUNTING), ("a", "two")])).await.unwrap();
    let lines = bench.around.lines();
    assert!(lines.contains(&"one".to_owned()) && lines.contains(&"two".to_owned()), "{lines:?}");
    assert_eq!(*bench.around.fetched.lock().unwrap(), ["docker.io/library/tools:1"]);
    assert_eq!(built.bases.len(), 1);

    let other = Bench::new();
    other.build(&other.order(&[("Dockerfile", COUNTING), ("a", "two")])).await.unwrap();
    assert!(!other.around.lines().contains(&"one".to_owned()), "another application has a cache of its own");
}

#[tokio::test]
async fn nothing_is_kept_where_that_is_not_wanted() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    bench.build(&bench.order(&[("Dockerfile", COUNTING), ("a", "one")])).await.unwrap();
    for _ in 0..2 {
        bench.around.take_news();
        let mut order = bench.order(&[("Dockerfile", COUNTING), ("a", "two")]);
        order.settings.is_cached = false;
        bench.build(&order).await.unwrap();
        assert!(!bench.around.lines().contains(&"one".to_owned()));
        assert_eq!(hits(&bench), 0);
    }
    assert!(!bench.volume().exists());
}

#[tokio::test]
async fn a_damaged_volume_is_made_anew() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let build =
        || async { bench.build(&bench.order(&[("Dockerfile", COUNTING), ("a", "one")])).await.unwrap() };
    build().await;
    let size = fs::metadata(bench.volume()).unwrap().len();
    let file = fs::File::create(bench.volume()).unwrap();
    file.set_len(size).unwrap();
    build().await;
    // The list of base images says more than there is.
    bench.workshop.forget(bench.app).await.unwrap();
    build().await;
    fs::remove_file(bench.volume()).unwrap();
    let file = fs::File::create(bench.volume()).unwrap();
    file.set_len(size).unwrap();
    assert!(
        std::process::Command::new("/usr/sbin/mkfs.ext4")
            .args(["-q", "-F"])
            .arg(bench.volume())
            .status()
            .unwrap()
            .success()
    );
    build().await;
    assert_eq!(bench.around.fetched.lock().unwrap().len(), 4);
}
