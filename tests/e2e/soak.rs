//! The control plane killed again and again: at moments that nobody chose, and with many applications.

use std::thread;
use std::time::{Duration, Instant};

use crate::census;
use crate::harness::{Installation, can_run, eventually, rows};
use crate::load::Load;
use crate::report::{rounds, say};
use crate::sources::{Registry, running_shop};

/// A deployment of the sample takes less than this, so kills spread over all of its steps.
const DEPLOYMENT: Duration = Duration::from_millis(400);
/// Requests a second over all applications.
const RATE: u32 = 200;

/// Beside the kills at named points: kills at moments that move on a little each time.
#[test]
#[ignore = "long; run by `make soak`"]
fn killed_at_every_moment_of_a_deployment() {
    let Some((_registry, _, mut darsena)) = running_shop() else { return };
    let kills = rounds(100);
    let load = Load::start(darsena.http, &["shop"], RATE);
    let mut slowest = Duration::ZERO;
    for kill in 0..kills {
        darsena.run_ok(&["deploy", "shop", "--no-wait"]);
        thread::sleep(DEPLOYMENT.mul_f64(kill as f64 / kills as f64));
        darsena.kill_serve();
        let restarted = Instant::now();
        darsena.serve();
        eventually("the deployment ends", || {
            let deployments = darsena.json(&["deployments", "list", "shop"]);
            rows(&deployments).iter().all(|row| row["finished_at"].is_string())
        });
        eventually("one container runs", || darsena.container_pids().len() == 1);
        slowest = slowest.max(restarted.elapsed());
        let (status, _, _) = darsena.request("shop.localhost", "/");
        assert_eq!(status, 200, "after kill {kill}");
    }
    let report = load.stop();
    say(&format!("{kills} kills at any moment, slowest recovery {} ms; {report}", slowest.as_millis()));
    report.assert_flawless();
    let left = census::wait_for(&darsena, 1);
    assert!(left.is_empty(), "{}", left.join("\n"));
}

#[test]
fn applications_do_not_notice_that_the_control_plane_is_killed() {
    kill_with_applications(5, 4);
}

#[test]
#[ignore = "long; run by `make soak`"]
fn ten_applications_do_not_notice_a_hundred_kills() {
    kill_with_applications(rounds(100), 10);
}

fn kill_with_applications(kills: usize, count: usize) {
    if !can_run() {
        return;
    }
    let registry = Registry::start();
    let image = registry.push_hello("demo/hello:1", &[]);
    let mut darsena = Installation::start(&[registry.address()]);
    let names: Vec<_> = (0..count).map(|number| format!("shop-{number}")).collect();
    for name in &names {
        darsena.run_ok(&["deploy", name, "--image", &image]);
    }
    let pids = darsena.container_pids();
    assert_eq!(pids.len(), count);

    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let load = Load::start(darsena.http, &names, RATE);
    for kill in 0..kills {
        darsena.kill_serve();
        darsena.serve();
        let since = load.so_far().ok;
        eventually("people ask on", || load.so_far().ok > since + 5 * count as u64);
        assert_eq!(darsena.container_pids(), pids, "after kill {kill} the same processes run");
    }
    for name in &names {
        assert_eq!(load.releases(name).len(), 1, "{name} answered, and by its one release");
    }
    let report = load.stop();
    say(&format!("{kills} kills with {count} applications, all processes the same; {report}"));
    report.assert_flawless();
    assert_eq!(report.sent_again, 0, "no kept connection was closed: {report}");
    let left = census::wait_for(&darsena, count);
    assert_eq!(darsena.container_pids(), pids, "nor were they started again later");
    assert!(left.is_empty(), "{}", left.join("\n"));
}
