//! Row P14: applications that want more than their share, and some that will not go. Their limits hold, their
//! neighbour answers, and nothing of them is left.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use engine::{ContainerSpec, Engine};

use crate::bench::{Bench, DEADLINE, say};

/// How long an answer of the neighbour may take on a small and loaded machine.
const PATIENCE: Duration = Duration::from_secs(10);

fn ask(address: SocketAddr) -> Duration {
    let begun = Instant::now();
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("hello "), "{text:?}");
    begun.elapsed()
}

/// Runs it until it has printed `word`, with a neighbour that is asked meanwhile, and stops it.
async fn bomb(words: &[&str], word: &str, change: impl FnOnce(&mut ContainerSpec)) {
    let Some(bench) = Bench::open() else { return };
    let neighbour = bench.spec(&["serve", "0.0.0.0:8080"]);
    let address = bench.start_until(&neighbour, "listening").await;
    let mut spec = bench.spec(words);
    spec.limits.pids = 40;
    spec.limits.cpu_millis = 500;
    change(&mut spec);
    bench.start_until(&spec, word).await;
    let mut answers: Vec<_> = (0..20).map(|_| ask(address)).collect();
    answers.sort();
    say(&format!("{words:?}: the neighbour answered in {:?}, at most {:?}", answers[10], answers[19]));
    assert!(bench.processes(&spec.id).len() <= 40);

    let processes = bench.processes(&spec.id);
    bench.engine.stop(&spec.id, Duration::from_millis(100)).await.unwrap();
    bench.engine.stop(&spec.id, Duration::from_millis(100)).await.unwrap();
    bench.engine.remove(&spec.id).await.unwrap();
    bench.assert_gone(&spec.id).await;
    let is_alive = |pid: &i32| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"/probe\0"))
    };
    let neighbours = bench.processes(&neighbour.id);
    bench
        .until("all of it is gone", || {
            !processes.iter().any(|pid| is_alive(pid) && !neighbours.contains(pid))
        })
        .await;
    ask(address);
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb() {
    bomb(&["bomb"], "armed", |_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_bomb() {
    bomb(&["threads"], "threads 39", |_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_open_files() {
    // EMFILE is 24.
    bomb(&["files", "1000000"], "errno 24", |spec| spec.limits.memory_mb = 256).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn children_that_nobody_collects() {
    bomb(&["zombies"], "zombies 39", |_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_process_that_ignores_its_stop_signal() {
    bomb(&["serve-forever", "0.0.0.0:8080"], "listening", |_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_left_its_parents() {
    bomb(&["daemon"], "daemon runs", |_| {}).await;
}

/// The first process ends by itself and would leave others behind.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_first_process_leaves_behind_ends_with_it() {
    let Some(bench) = Bench::open() else { return };
    let spec = bench.spec(&["leave", "serve-forever", "0.0.0.0:8080"]);
    assert_eq!(bench.run(&spec).await.0, 0);
    bench.until("all of it is gone", || bench.processes(&spec.id).is_empty()).await;
    bench.engine.remove(&spec.id).await.unwrap();
    bench.assert_gone(&spec.id).await;
    bench.finish().await;
}

/// Row P13: the kernel takes applications first. Nothing of the platform that holds one stands above it.
#[tokio::test(flavor = "multi_thread")]
async fn applications_are_killed_before_their_supervisors() {
    let Some(bench) = Bench::open() else { return };
    let score = |pid: i32| -> i32 {
        std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap().trim().parse().unwrap()
    };
    let spec = bench.spec(&["serve", "0.0.0.0:8080"]);
    for _ in 0..2 {
        bench.start_until(&spec, "listening").await;
        let args = ["/probe", "cat", "/proc/self/oom_score_adj"].map(str::to_owned);
        let beside = bench.engine.exec(&spec.id, &args, DEADLINE).await.unwrap();
        let supervisor = score(bench.supervisor(&spec.id).unwrap().as_raw());
        let own = score(bench.processes(&spec.id)[0]);
        say(&format!("oom_score_adj: supervisor {supervisor}, application {own}"));
        assert!(own >= 500 && supervisor < own, "{supervisor} {own}");
        assert_eq!(beside.output_tail, format!("/proc/self/oom_score_adj: {own}"));
        bench.engine.stop(&spec.id, DEADLINE).await.unwrap();
    }
    bench.finish().await;
}
