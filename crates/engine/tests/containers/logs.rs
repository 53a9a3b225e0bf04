//! What a container prints is kept, bounded, and never holds it up.

use std::fs;

use engine::{Engine, LogQuery};
use model::log::Stream;

use crate::bench::Bench;

#[tokio::test(flavor = "multi_thread")]
async fn both_outputs_are_kept_apart() {
    let Some(bench) = Bench::open() else { return };
    let spec = bench.spec(&["both"]);
    bench.run(&spec).await;
    let mut lines: Vec<_> = bench
        .engine
        .logs(&spec.id, &LogQuery::newest(10))
        .await
        .unwrap()
        .into_iter()
        .map(|line| (line.stream == Stream::Stderr, line.text))
        .collect();
    lines.sort();
    let expected = [(false, "no line end"), (false, "to stdout"), (true, "to stderr")];
    assert_eq!(lines, expected.map(|(is_error, text)| (is_error, text.to_owned())));
    bench.finish().await;
}

/// Many images point their log files at `/dev/stdout`, and run as another user than root.
#[tokio::test(flavor = "multi_thread")]
async fn every_user_can_open_the_outputs_by_name() {
    let Some(bench) = Bench::open() else { return };
    for user in ["", "app"] {
        let mut spec = bench.spec(&["reopen"]);
        spec.user = user.into();
        let (code, mut lines) = bench.run(&spec).await;
        lines.sort();
        assert_eq!((code, lines), (0, vec!["to /dev/stderr".to_owned(), "to /dev/stdout".to_owned()]));
    }
    bench.finish().await;
}

/// Row P7, in small: nobody reads, and far more is written than is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_output_is_bounded_on_disk() {
    let Some(bench) = Bench::open() else { return };
    let spec = bench.spec(&["spam", "500000"]);
    let (code, lines) = bench.run(&spec).await;
    assert_eq!(code, 0);
    assert_eq!(lines.len(), 10_000);
    assert!(lines.last().unwrap().ends_with("499999"));
    let kept: u64 = fs::read_dir(bench.data_folder(&spec.id).join("log"))
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    assert!((20 << 20..32 << 20).contains(&kept), "{kept}");
    bench.finish().await;
}
