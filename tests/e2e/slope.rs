//! Many deployments in a row: what the platform holds does not grow with their number.

use std::fs;

use crate::census;
use crate::harness::{DARSENA, Installation};
use crate::report::{rounds, say};
use crate::sources::running_shop;

/// Deployments before the first look: kept releases, connections and caches have their size then.
const WARM_UP: usize = 12;

#[test]
fn thirty_deployments_leave_nothing_behind() {
    deploy_and_compare(30);
}

#[test]
#[ignore = "long; run by `make soak`"]
fn many_deployments_leave_nothing_behind() {
    deploy_and_compare(rounds(1000));
}

fn deploy_and_compare(count: usize) {
    let Some((_registry, _, darsena)) = running_shop() else { return };
    let deploy = |times| (0..times).for_each(|_| drop(darsena.run_ok(&["deploy", "shop"])));
    deploy(WARM_UP);
    let before = settled(&darsena);
    say(&format!("before: {before:?}"));
    let mut after = settled(&darsena);
    for quarter in 1..=4 {
        deploy(count * quarter / 4 - count * (quarter - 1) / 4);
        after = settled(&darsena);
        say(&format!("after {} deployments: {after:?}", count * quarter / 4));
    }

    // A connection or two come and go.
    for (what, before, after) in [
        ("open files of serve", before.serve_files, after.serve_files),
        ("open files of the ingress", before.ingress_files, after.ingress_files),
        ("threads of serve", before.serve_threads, after.serve_threads),
    ] {
        assert!(after <= before + 8, "{what}: {before}, then {after}");
    }
    assert_eq!(after.networks, before.networks, "network namespaces");
    assert_eq!(after.cgroups, before.cgroups, "control groups in all hierarchies");
    assert!(after.layers <= before.layers, "layers: {} then {}", before.layers, after.layers);
    // An allocator may keep some, but not something for each deployment.
    let room = 16 << 10;
    for (what, before, after) in [
        ("memory of serve", before.serve_kib, after.serve_kib),
        ("memory of the ingress", before.ingress_kib, after.ingress_kib),
    ] {
        assert!(after <= before + room, "{what}: {before} KiB, then {after} KiB");
    }
    // The record of each deployment is kept, with its log: some KiB, and no more.
    let grown = after.database_kib.saturating_sub(before.database_kib);
    assert!(grown <= 512 + 16 * count as u64, "the database grew by {grown} KiB");
}

#[derive(Debug)]
#[expect(dead_code, reason = "what is not compared is printed")]
struct Held {
    serve_files: usize,
    serve_threads: usize,
    serve_kib: u64,
    ingress_files: usize,
    ingress_kib: u64,
    networks: usize,
    cgroups: usize,
    layers: usize,
    database_kib: u64,
    data_kib: u64,
}

/// Looks when nothing is under way; the census sees to it that no mount shows on the host.
fn settled(darsena: &Installation) -> Held {
    let left = census::wait_for(darsena, 1);
    assert!(left.is_empty(), "{}", left.join("\n"));
    let (serve, ingress) = (darsena.serve_pid(), darsena.ingress_pid());
    let entries = |path: String| fs::read_dir(path).map_or(0, Iterator::count);
    let data = darsena.data();
    Held {
        serve_files: entries(format!("/proc/{serve}/fd")),
        serve_threads: entries(format!("/proc/{serve}/task")),
        serve_kib: resident_kib(serve),
        ingress_files: entries(format!("/proc/{ingress}/fd")),
        ingress_kib: resident_kib(ingress),
        networks: networks_of_ours(darsena),
        cgroups: cgroups_of(&darsena.instance()),
        layers: entries(data.join("images/layers").display().to_string()),
        database_kib: size_kib(data, &|name| name.contains(".db") || name.contains("sqlite")),
        data_kib: size_kib(data, &|_| true),
    }
}

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Network namespaces of this installation's processes, the host's among them.
fn networks_of_ours(darsena: &Installation) -> usize {
    let run = darsena.run_folder().display().to_string();
    let ours = census::command_lines().into_iter().filter(|(_, words)| {
        words.first().is_some_and(|program| program == DARSENA)
            && words.iter().any(|word| word.contains(&run))
    });
    let namespaces = ours.filter_map(|(pid, _)| fs::read_link(format!("/proc/{pid}/ns/net")).ok());
    namespaces.collect::<std::collections::BTreeSet<_>>().len()
}

fn cgroups_of(instance: &str) -> usize {
    fn count(folder: &std::path::Path, name: &str, depth: u32) -> usize {
        let folders = fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders
            .map(|entry| {
                let is_ours = entry.path().display().to_string().contains(name);
                let below = if depth > 0 { count(&entry.path(), name, depth - 1) } else { 0 };
                usize::from(is_ours) + below
            })
            .sum()
    }
    count(std::path::Path::new("/sys/fs/cgroup"), instance, 3)
}

fn size_kib(folder: &std::path::Path, counts: &dyn Fn(&str) -> bool) -> u64 {
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(kind) if kind.is_dir() => size_kib(&entry.path(), counts),
        Ok(file) if counts(&entry.file_name().to_string_lossy()) => file.len() / 1024,
        _ => 0,
    };
    fs::read_dir(folder).into_iter().flatten().flatten().map(size).sum()
}
