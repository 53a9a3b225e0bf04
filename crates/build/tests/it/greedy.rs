//! Images that are larger than they look.

use std::time::{Duration, Instant};

use build::Limits;
use model::FailureCode;

use crate::support::{Bench, is_root};

/// A file with nothing in it takes no room where it is made, and all of it in the image.
#[tokio::test]
async fn an_image_is_no_larger_than_the_volume_it_is_made_in() {
    if !is_root() {
        return;
    }
    let bench = Bench::with(Limits { disk: 256 << 20, reserve: 64 << 20, ..Limits::default() });
    let hole = |name: &str, mebibytes: u32| {
        format!("RUN dd if=/dev/null of=/{name} bs=1048576 seek={mebibytes} 2>&1\n")
    };
    let at_once = format!("FROM tools:1\n{}", hole("a", 1 << 20));
    let failure = bench.build(&bench.order(&[("Dockerfile", &at_once)])).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::BuildFailed, "{failure:?}");

    let by_parts = format!("FROM tools:1\n{}{}", hole("a", 150), hole("b", 150));
    let failure = bench.build(&bench.order(&[("Dockerfile", &by_parts)])).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::BuildTooLarge, "{failure:?}");
    assert!(failure.message.contains("more disk than the 256 MiB"), "{failure:?}");
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::fs::read_dir(bench.folder.join("build/builds")).unwrap().count() > 0 {
        assert!(Instant::now() < deadline, "something of the builds is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
