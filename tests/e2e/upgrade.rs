//! Another build of the program takes over while people use applications.

use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use crate::census;
use crate::harness::{DARSENA, eventually};
use crate::load::Load;
use crate::report::{rounds, say};
use crate::sources::running_shop;

#[test]
fn an_upgrade_under_load_fails_no_request() {
    upgrade(4);
}

#[test]
#[ignore = "long; run by `make soak`"]
fn many_upgrades_under_load_fail_no_request() {
    upgrade(rounds(50));
}

/// Half of the requests come on new connections, so one that is refused while the ingress is replaced would show.
fn upgrade(times: usize) {
    let Some((_registry, _, mut darsena)) = running_shop() else { return };
    let pids = darsena.container_pids();
    let builds = [build(darsena.data(), "one"), build(darsena.data(), "other")];
    let load = Load::start(darsena.http, &["shop"], 500);
    for number in 0..times {
        let ingress = darsena.ingress_pid();
        darsena.end_serve(Signal::SIGTERM);
        darsena.use_program(builds[number % 2].clone());
        darsena.serve();
        eventually("the ingress is of the new build", || {
            let now = darsena.ingress_pid();
            now != ingress && runs(now) == builds[number % 2]
        });
        assert_eq!(darsena.container_pids(), pids, "applications go on");
        let at = load.so_far();
        eventually("people ask on", || load.so_far().ok > at.ok + 100);
    }
    let report = load.stop();
    say(&format!("{times} upgrades: {report}"));
    report.assert_flawless();
    darsena.run_ok(&["deploy", "shop"]);
    let left = census::wait_for(&darsena, 1);
    assert!(left.is_empty(), "{}", left.join("\n"));
}

/// A copy of the program: a file of another time is another build.
fn build(folder: &Path, name: &str) -> PathBuf {
    let folder = folder.join(format!("build-{name}"));
    std::fs::create_dir(&folder).unwrap();
    let program = folder.join("darsena");
    std::fs::copy(DARSENA, &program).unwrap();
    program.canonicalize().unwrap()
}

fn runs(pid: u32) -> PathBuf {
    std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default()
}
