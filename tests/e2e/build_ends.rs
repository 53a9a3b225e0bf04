//! Builds that do not come to their natural end: cancelled, or the control plane killed in the middle of them.

use std::fs;
use std::path::Path;
use std::process::Child;

use crate::git_builds::Bench;
use crate::harness::{Installation, after_a_build, eventually, rows};

/// What `cmdline` of a process holds that only these builds run.
const SLEEPER: &str = "sleep\x00765432";

#[test]
fn a_cancelled_build_ends_at_once_and_the_old_release_serves() {
    let Some(bench) = Bench::start() else { return };
    let darsena = &bench.darsena;
    bench.commit_site("first");
    darsena.run_ok(&["deploy", "site", "--git", &bench.url()]);
    let id = bench.start_sleeping_build();
    after_a_build("the build runs", || is_sleeping(darsena));

    darsena.run_ok(&["deployments", "cancel", "site", &id]);
    eventually("the deployment is cancelled", || status(darsena, &id) == "cancelled");
    assert!(!is_sleeping(darsena), "its programs have ended");
    assert!(darsena.get("site.localhost", "/").1.contains("first"));
    eventually("nothing is left of it", || left_of_builds(darsena).is_empty());
    let log = darsena.run_ok(&["logs", "site", "--deployment", &id]);
    assert!(log.contains("sleep 765432"), "the log says how far it got: {log}");

    // With the application its cache goes.
    assert_eq!(entries(&darsena.data().join("builds/volumes")), 1);
    darsena.run_ok(&["apps", "delete", "site", "--yes"]);
    eventually("the cache is gone", || entries(&darsena.data().join("builds/volumes")) == 0);
}

#[test]
fn ctrl_c_in_the_middle_of_a_build_leaves_nothing_and_the_next_start_builds_the_same_commit() {
    let Some(mut bench) = Bench::start() else { return };
    bench.commit_site("first");
    bench.darsena.run_ok(&["deploy", "site", "--git", &bench.url()]);
    let id = bench.start_sleeping_build();
    after_a_build("the build runs", || is_sleeping(&bench.darsena));

    bench.darsena.end_serve(nix::sys::signal::Signal::SIGINT);
    assert!(!is_sleeping(&bench.darsena), "its programs have ended");
    // As after a kill in the middle of the removal of an application.
    let stray = bench.darsena.data().join("builds/volumes/01a20de1-eddc-72ba-a2f3-c0c38c83b9ce");
    fs::create_dir(&stray).unwrap();
    bench.darsena.serve();
    after_a_build("the build goes on", || is_sleeping(&bench.darsena));
    eventually("what belongs to nobody is removed", || !stray.exists());
    bench.darsena.run_ok(&["deployments", "cancel", "site", &id]);
    eventually("the deployment is cancelled", || status(&bench.darsena, &id) == "cancelled");
    eventually("the first release serves", || bench.darsena.get("site.localhost", "/").1.contains("first"));
}

/// At each named moment of fetching and building, and in the middle of a step.
#[test]
fn the_control_plane_killed_in_a_build_builds_the_same_commit_afterwards() {
    let Some(mut bench) = Bench::start() else { return };
    bench.commit_site("first");
    bench.darsena.run_ok(&["deploy", "site", "--git", &bench.url()]);
    for point in failpoint::BUILD_POINTS {
        let wanted = bench.commit_site(point);
        let file = bench.points.path().join(point);
        fs::write(&file, "").unwrap();
        // It may be left without an answer.
        let mut deploy: Child = bench.darsena.spawn(&["deploy", "site", "--no-wait"]);
        after_a_build(&format!("somebody is at {point}"), || !fs::read_to_string(&file).unwrap().is_empty());
        bench.darsena.kill_serve();
        deploy.wait().unwrap();
        // Where the branch is by now does not matter.
        bench.commit_site("too late");
        fs::remove_file(&file).unwrap();
        bench.darsena.serve();

        after_a_build(&format!("killed at {point}, the deployment ends"), || {
            newest(&bench.darsena)["finished_at"].is_string()
        });
        let deployment = newest(&bench.darsena);
        assert_eq!(
            deployment["status"],
            "success",
            "killed at {point}: {deployment}\n{}",
            bench.darsena.log()
        );
        // The commit is the deployment's from S19 on.
        assert_eq!(deployment["commit_sha"], wanted.as_str(), "killed at {point}: {deployment}");
        assert!(bench.darsena.get("site.localhost", "/").1.contains(point), "killed at {point}");
        assert_eq!(bench.darsena.container_pids().len(), 1, "killed at {point}");
        eventually(&format!("killed at {point}, nothing is left"), || {
            left_of_builds(&bench.darsena).is_empty()
        });
    }
}

#[test]
fn the_control_plane_killed_in_the_middle_of_a_step_leaves_no_program_of_it() {
    let Some(mut bench) = Bench::start() else { return };
    let id = {
        bench.commit_site("first");
        bench.darsena.run_ok(&["deploy", "site", "--git", &bench.url()]);
        bench.start_sleeping_build()
    };
    after_a_build("the build runs", || is_sleeping(&bench.darsena));
    bench.darsena.kill_serve();
    eventually("its programs end with it", || !is_sleeping(&bench.darsena));
    bench.darsena.serve();
    after_a_build("the build goes on", || is_sleeping(&bench.darsena));
    bench.darsena.run_ok(&["deployments", "cancel", "site", &id]);
    eventually("the deployment is cancelled", || status(&bench.darsena, &id) == "cancelled");
    eventually("nothing is left", || left_of_builds(&bench.darsena).is_empty());
    assert!(bench.darsena.get("site.localhost", "/").1.contains("first"));

    // Nobody starts again, and `darsena down`, which the end of each test runs, finds whatever is left.
    bench.start_sleeping_build();
    after_a_build("another build runs", || is_sleeping(&bench.darsena));
    bench.darsena.kill_serve();
}

impl Bench {
    /// Deploys a commit whose build does not end by itself, without waiting. Gives the deployment.
    fn start_sleeping_build(&self) -> String {
        let dockerfile = self.dockerfile().replace("RUN mkdir /site", "RUN sleep 765432; mkdir /site");
        self.repository.commit(&[("Dockerfile", &*dockerfile)], "Sleep").unwrap();
        let printed = self.darsena.run_ok(&["deploy", "site", "--no-wait"]);
        printed.lines().next().expect("the deployment's id").to_owned()
    }
}

fn newest(darsena: &Installation) -> serde_json::Value {
    rows(&darsena.json(&["deployments", "list", "site"]))[0].clone()
}

fn status(darsena: &Installation, id: &str) -> String {
    let deployments = rows(&darsena.json(&["deployments", "list", "site"]));
    let deployment = deployments.iter().find(|row| row["id"] == id).expect("it is listed");
    deployment["status"].as_str().unwrap().to_owned()
}

/// Whether the program of the sleeping build of this installation runs. Tests run side by side, so its control group
/// says whose it is.
pub fn is_sleeping(darsena: &Installation) -> bool {
    let instance = darsena.instance();
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let of = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
        let holds = |bytes: Vec<u8>, text: &str| String::from_utf8_lossy(&bytes).contains(text);
        holds(of("cmdline"), SLEEPER) && holds(of("cgroup"), &instance)
    })
}

/// Files and devices of builds that are over.
fn left_of_builds(darsena: &Installation) -> Vec<String> {
    let folders = ["checkouts", "builds/builds"].map(|name| darsena.data().join(name));
    let mut left: Vec<String> = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten())
        .map(|entry| entry.path().display().to_string())
        .collect();
    for entry in fs::read_dir("/sys/block").into_iter().flatten().flatten() {
        let file = fs::read_to_string(entry.path().join("loop/backing_file")).unwrap_or_default();
        if file.contains(darsena.data().to_str().unwrap()) {
            left.push(format!("{}: {}", entry.path().display(), file.trim()));
        }
    }
    left
}

fn entries(folder: &Path) -> usize {
    fs::read_dir(folder).into_iter().flatten().count()
}
