//! Signals to the control plane in the middle of a deployment.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::census;
use crate::harness::{Installation, eventually, rows};
use crate::load::Load;
use crate::sources::running_shop;

/// Longest time for ending; containers get ten seconds to stop in.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

#[test]
fn a_deployment_under_way_goes_on_after_a_polite_end() {
    let Some((_registry, _, mut darsena)) = running_shop() else { return };
    let old = darsena.request("shop.localhost", "/").1;
    let load = Load::start(darsena.http, &["shop"], 100);
    let id = begin_one_that_waits(&darsena);

    for signals in [&[Signal::SIGTERM][..], &[Signal::SIGTERM, Signal::SIGTERM]] {
        for signal in &signals[1..] {
            darsena.signal_serve(*signal);
        }
        end(&mut darsena, signals[0]);
        assert_eq!(darsena.request("shop.localhost", "/").1, old, "{signals:?}");
        darsena.serve();
        assert_eq!(status(&darsena, &id), "inProgress", "{signals:?}: it goes on");
    }
    let report = load.stop();
    report.assert_flawless();

    // Ctrl-C stops all, and the next start brings back both the application and the deployment.
    end(&mut darsena, Signal::SIGINT);
    darsena.serve();
    eventually("the old release serves", || darsena.get("shop.localhost", "/").0 == 200);
    assert_eq!(darsena.request("shop.localhost", "/").1, old);
    cancel(&darsena, &id);
}

#[test]
fn a_hangup_ends_nothing() {
    let Some((_registry, _, darsena)) = running_shop() else { return };
    let serve = darsena.serve_pid();
    let id = begin_one_that_waits(&darsena);
    darsena.signal_serve(Signal::SIGHUP);
    eventually("it says so", || darsena.log().contains("SIGHUP"));
    assert_eq!(darsena.serve_pid(), serve);
    assert_eq!(status(&darsena, &id), "inProgress");
    cancel(&darsena, &id);
}

/// A deployment that waits for a container to answer, which it never does.
fn begin_one_that_waits(darsena: &Installation) -> String {
    darsena.run_ok(&["deploy", "shop", "--no-wait", "--env", "HELLO_BIND=0.0.0.0:1"]);
    eventually("the new container is asked", || darsena.container_pids().len() == 2);
    rows(&darsena.json(&["deployments", "list", "shop"]))[0]["id"].as_str().unwrap().to_owned()
}

fn end(darsena: &mut Installation, signal: Signal) {
    let since = Instant::now();
    darsena.end_serve(signal);
    assert!(since.elapsed() < ENDS_WITHIN, "{signal}: it took {} s", since.elapsed().as_secs());
}

fn status(darsena: &Installation, id: &str) -> String {
    darsena.json(&["deployments", "show", "shop", id])["status"].as_str().unwrap().to_owned()
}

fn cancel(darsena: &Installation, id: &str) {
    darsena.run_ok(&["deployments", "cancel", "shop", id]);
    eventually("it is cancelled", || status(darsena, id) == "cancelled");
    let left = census::wait_for(darsena, 1);
    assert!(left.is_empty(), "{}", left.join("\n"));
}
