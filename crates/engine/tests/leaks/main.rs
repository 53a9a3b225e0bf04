//! Row P29 for one container at a time: many lives leave nothing behind. A test program of its own, because it
//! counts what this very process holds. Needs root.

#[path = "../containers/bench.rs"]
#[expect(dead_code, reason = "the other test program uses the rest")]
mod bench;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use engine::Engine;

use bench::{Bench, DEADLINE, rounds, say};

/// Everything that could grow, by name.
fn count(bench: &Bench) -> BTreeMap<&'static str, usize> {
    // Others on this machine may mount what they like.
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let folder = bench.config.run.parent().unwrap().to_str().unwrap();
    let entries = |path: &str| fs::read_dir(path).map_or(0, |entries| entries.count());
    let group = format!("darsena-{}", bench.config.instance);
    let groups = ["memory", "pids", "systemd", "unified", "."].map(|hierarchy| {
        tree(&Path::new("/sys/fs/cgroup").join(hierarchy).join(&group), &|path| path.is_dir())
    });
    BTreeMap::from([
        ("open files", entries("/proc/self/fd")),
        ("threads", entries("/proc/self/task")),
        ("mounts", mounts.lines().filter(|line| line.contains(folder)).count()),
        ("control groups", groups.iter().sum()),
        ("interfaces", bench.interfaces().len()),
        ("files in the run folder", tree(&bench.config.run, &|_| true)),
        ("files in the data folder", tree(&bench.config.data, &|_| true)),
        ("processes of the installation", bench.processes_naming(&bench.config.run)),
    ])
}

fn tree(path: &Path, counts: &dyn Fn(&Path) -> bool) -> usize {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| usize::from(counts(&entry.path())) + tree_unless_link(&entry, counts)).sum()
}

fn tree_unless_link(entry: &fs::DirEntry, counts: &dyn Fn(&Path) -> bool) -> usize {
    if entry.file_type().is_ok_and(|kind| kind.is_dir()) { tree(&entry.path(), counts) } else { 0 }
}

async fn live_once(bench: &Bench) {
    let spec = bench.spec(&["serve", "0.0.0.0:8080"]);
    bench.engine.create(&spec).await.unwrap();
    bench.engine.start(&spec.id).await.unwrap();
    let args = ["/probe", "exit", "0"].map(str::to_owned);
    bench.engine.exec(&spec.id, &args, DEADLINE).await.unwrap();
    let (wait, stop) =
        tokio::join!(bench.engine.wait(&spec.id), bench.engine.stop(&spec.id, Duration::from_millis(10)));
    wait.unwrap();
    stop.unwrap();
    bench.engine.remove(&spec.id).await.unwrap();
}

async fn live_often(times: u32) {
    let Some(bench) = Bench::open() else { return };
    // The first ones fill what stays by intention: threads of the runtime, folders of the installation.
    for _ in 0..3 {
        live_once(&bench).await;
    }
    let before = count(&bench);
    let begun = Instant::now();
    for _ in 0..times {
        live_once(&bench).await;
    }
    say(&format!("a life takes {:?}; {before:?}", begun.elapsed() / times));
    // What is on its way out gets a moment; the runtime's idle threads and what they hold come and go.
    let deadline = Instant::now() + DEADLINE;
    let grown = loop {
        let after = count(&bench);
        let grown: Vec<_> = after
            .iter()
            .filter(|(name, count)| {
                **count > before[*name] + if ["threads", "open files"].contains(name) { 8 } else { 0 }
            })
            .map(|(name, count)| format!("{name}: {} before, {count} after", before[name]))
            .collect();
        if grown.is_empty() || Instant::now() > deadline {
            break grown;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(grown.is_empty(), "{grown:#?}");
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_lives_leave_nothing() {
    live_often(20).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long; run by `make soak`"]
async fn soak_two_hundred_lives_leave_nothing() {
    live_often(rounds(200)).await;
}
