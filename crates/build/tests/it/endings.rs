//! Builds that are ended from outside leave nothing.

use std::process::Command;
use std::time::Duration;

use build::{Builder, News};

use crate::support::{Bench, is_root, processes_of, until};

const ENDLESS: &str = "FROM tools:1\nRUN sleep 100000 & echo asleep; while true; do sleep 1; done\n";

#[tokio::test]
async fn a_dropped_build_ends_at_once_with_everything() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let order = bench.order(&[("Dockerfile", ENDLESS)]);
    let asleep = async {
        until("the step prints", || bench.around.lines().contains(&"asleep".to_owned())).await;
    };
    tokio::select! {
        outcome = bench.build(&order) => panic!("{outcome:?}"),
        () = asleep => {}
    }
    assert!(
        bench.around.news.lock().unwrap().iter().any(|news| matches!(news, News::Step { number: 2, .. }))
    );
    bench.assert_nothing_left(&order).await;
    bench.workshop.clear(order.build).await.unwrap();
    assert!(!bench.result(&order).exists());

    // What was half done is in nobody's way.
    bench.build(&bench.order(&[("Dockerfile", "FROM tools:1\nRUN echo fine\n")])).await.unwrap();
    bench.workshop.forget(bench.app).await.unwrap();
    assert!(!bench.volume().exists());
}

/// Played by a process of its own: a build that goes on until somebody kills the process.
#[tokio::test]
#[ignore = "started by the test below"]
async fn part_of_a_killed_control_plane() {
    let Some(folder) = std::env::var_os("BUILD_TEST_FOLDER") else { return };
    let bench = Bench::in_folder(folder.as_ref());
    let order = bench.order(&[("Dockerfile", ENDLESS)]);
    let _ = bench.build(&order).await;
}

#[tokio::test]
async fn a_build_ends_with_a_control_plane_that_is_killed() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "endings::part_of_a_killed_control_plane", "--ignored", "--nocapture"])
        .env("BUILD_TEST_FOLDER", &bench.folder)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let sleeps = || processes_of(&bench.folder).iter().any(|line| line.starts_with("sleep 100000"));
    let begun = tokio::time::timeout(Duration::from_secs(120), until("the step runs", sleeps)).await;
    other.kill().unwrap();
    other.wait().unwrap();
    begun.unwrap();
    bench.assert_nothing_running().await;
}
