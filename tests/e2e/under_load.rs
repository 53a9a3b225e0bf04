//! Redeploying while people use the application: no request fails, and each answer belongs to its request.

use crate::census;
use crate::harness::Installation;
use crate::harness::can_run;
use crate::load::Load;
use crate::report::{rounds, say};
use crate::sources::Registry;

/// Requests a second, half of them on new connections.
const RATE: u32 = 500;

#[test]
fn redeploying_under_load_fails_no_request() {
    redeploy(15, 1);
}

#[test]
fn redeploying_three_instances_under_load_fails_no_request() {
    redeploy(5, 3);
}

#[test]
#[ignore = "long; run by `make soak`"]
fn redeploying_often_under_load_fails_no_request() {
    redeploy(rounds(200), 1);
}

#[test]
#[ignore = "long; run by `make soak`"]
fn redeploying_three_instances_often_under_load_fails_no_request() {
    redeploy(rounds(50), 3);
}

fn redeploy(times: usize, instances: usize) {
    if !can_run() {
        return;
    }
    let registry = Registry::start();
    let image = registry.push_hello("demo/hello:1", &[]);
    let darsena = Installation::start(&[registry.address()]);
    darsena.run_ok(&["deploy", "shop", "--image", &image]);
    if instances > 1 {
        darsena.set_instances("shop", instances);
        darsena.run_ok(&["deploy", "shop"]);
    }

    let load = Load::start(darsena.http, &["shop"], RATE);
    for _ in 0..times {
        darsena.run_ok(&["deploy", "shop"]);
    }
    let releases = load.releases("shop");
    let report = load.stop();
    say(&format!("{times} redeployments of {instances} instances: {report}"));
    report.assert_flawless();
    assert_eq!(report.sent_again, 0, "no kept connection was closed: {report}");
    // A release may serve for less time than lies between two requests, but not most of them.
    assert!(releases.len() > times / 2, "{} releases answered in {times} redeployments", releases.len());
    let left = census::wait_for(&darsena, instances);
    assert!(left.is_empty(), "{}", left.join("\n"));
}
