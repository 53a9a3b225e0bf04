//! What a container prints is kept, bounded, and never holds it up.

use std::fs;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use engine::{Engine, LogQuery};
use model::log::Stream;

use crate::bench::{Bench, DEADLINE, say};

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

/// Row P7: nobody reads, and far more is written than is kept. The application is not held up, what is kept is
/// bounded at any moment, and the supervisor stays small. A line without an end is cut.
async fn flood(megabytes: u64) {
    let Some(bench) = Bench::open() else { return };
    let spec = bench.spec(&["spam-and-serve", &(megabytes * 10_000).to_string(), "0.0.0.0:8080"]);
    bench.engine.create(&spec).await.unwrap();
    let begun = Instant::now();
    let address = bench.engine.start(&spec.id).await.unwrap();
    let folder = bench.data_folder(&spec.id).join("log");
    let mut most = 0;
    let limit = DEADLINE.max(Duration::from_secs(megabytes));
    while TcpStream::connect_timeout(&address, Duration::from_secs(5)).is_err() {
        // A file may be renamed while one looks.
        let sizes =
            fs::read_dir(&folder).unwrap().flatten().filter_map(|file| Some(file.metadata().ok()?.len()));
        most = most.max(sizes.sum());
        assert!(begun.elapsed() < limit, "it is held up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let status = fs::read_to_string(format!("/proc/{}/status", bench.supervisor(&spec.id).unwrap())).unwrap();
    let peak: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap();
    say(&format!(
        "{megabytes} MB in {:?}; at most {} MiB kept; supervisor {peak} kB",
        begun.elapsed(),
        most >> 20
    ));
    assert!(most < 32 << 20, "{most}");
    assert!(peak < 1024, "{peak} kB");

    let last = format!("{:0>99}", megabytes * 10_000 - 1);
    bench.until_printed(&spec.id, &last).await;
    let lines = bench.lines(&spec.id).await;
    assert_eq!(lines.len(), 10_000);
    let kept: u64 = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!((20 << 20..32 << 20).contains(&kept), "{kept}");
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_output_is_bounded_on_disk() {
    flood(60).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long; run by `make soak`"]
async fn soak_a_flood_of_a_gigabyte_is_bounded_on_disk() {
    flood(1074).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_never_ends_is_cut() {
    let Some(bench) = Bench::open() else { return };
    let spec = bench.spec(&["long-line", "1000000"]);
    let (code, lines) = bench.run(&spec).await;
    assert_eq!(code, 0);
    assert_eq!(lines.iter().map(String::len).sum::<usize>(), 1_000_000);
    assert!(lines.iter().all(|line| line.len() <= 16 << 10), "{:?}", lines.iter().map(String::len).max());
    bench.finish().await;
}
