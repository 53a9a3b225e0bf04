//! The control plane runs and gets nothing done: people who use applications do not notice.

use nix::sys::signal::Signal;
use rusqlite::Connection;

use crate::census;
use crate::harness::{Installation, eventually, rows};
use crate::load::Load;
use crate::sources::running_shop;

const RATE: u32 = 200;
/// Requests after which nobody can say that it was luck: five seconds of them.
const ENOUGH: u64 = 1000;

#[test]
fn a_control_plane_that_hangs_costs_no_request() {
    let Some((_registry, _, darsena)) = running_shop() else { return };
    let load = Load::start(darsena.http, &["shop"], RATE);
    darsena.run_ok(&["deploy", "shop", "--no-wait"]);
    darsena.signal_serve(Signal::SIGSTOP);
    eventually("people ask meanwhile", || load.so_far().ok > ENOUGH);
    darsena.signal_serve(Signal::SIGCONT);
    deployed(&darsena);
    load.stop().assert_flawless();
}

#[test]
fn a_locked_database_costs_no_request_and_the_deployment_goes_on_afterwards() {
    let Some((_registry, _, darsena)) = running_shop() else { return };
    let load = Load::start(darsena.http, &["shop"], RATE);
    darsena.run_ok(&["deploy", "shop", "--no-wait"]);
    {
        // As a backup program or a curious administrator may do it.
        let database = Connection::open(darsena.data().join("darsena.db")).unwrap();
        database.busy_timeout(crate::harness::PATIENCE).unwrap();
        database.execute_batch("BEGIN EXCLUSIVE").unwrap();
        let since = load.so_far().ok;
        eventually("people ask meanwhile", || load.so_far().ok > since + ENOUGH);
        // Longer than the platform waits for one change.
        let held = std::time::Instant::now();
        eventually("it is held for long", || held.elapsed() > std::time::Duration::from_secs(4));
    }
    deployed(&darsena);
    load.stop().assert_flawless();
}

fn deployed(darsena: &Installation) {
    eventually("it is deployed", || {
        rows(&darsena.json(&["deployments", "list", "shop"]))[0]["status"] == "success"
    });
    let left = census::wait_for(darsena, 1);
    assert!(left.is_empty(), "{}", left.join("\n"));
}
