//! Several wishes at the same moment: for one application they come one after the other, for different ones side
//! by side.

use std::process::Output;

use crate::census;
use crate::harness::{Installation, can_run, eventually, ok, request, rows};
use crate::load::Load;
use crate::sources::{Registry, running_shop};

#[test]
fn deployments_of_one_application_come_one_after_the_other() {
    let Some((_registry, _, darsena)) = running_shop() else { return };
    let load = Load::start(darsena.http, &["shop"], 100);
    let outputs = at_once(&darsena, &[&["deploy", "shop"][..]; 4]);
    for output in &outputs {
        // One that waited while a newer one came is passed over, and says so.
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() || words.to_lowercase().contains("newer"), "{words}");
    }
    settled(&darsena);
    load.stop().assert_flawless();
}

#[test]
fn a_deployment_and_a_rollback_at_once_leave_one_winner() {
    let Some((_registry, _, darsena)) = running_shop() else { return };
    darsena.run_ok(&["deploy", "shop"]);
    let load = Load::start(darsena.http, &["shop"], 100);
    at_once(&darsena, &[&["deploy", "shop"], &["deployments", "rollback", "shop"]]);
    settled(&darsena);
    load.stop().assert_flawless();
}

#[test]
fn a_deployment_and_a_removal_at_once_leave_an_application_or_nothing() {
    let Some((_registry, image, darsena)) = running_shop() else { return };
    let outputs = at_once(&darsena, &[&["deploy", "shop"], &["apps", "delete", "shop", "--yes"]]);
    let removed = outputs[1].status.success();
    if removed {
        let is_gone = || matches!(request(darsena.http, "shop.localhost", "/"), Ok((404, _, _)));
        eventually("nobody finds it any more", is_gone);
    } else {
        let words = String::from_utf8_lossy(&outputs[1].stderr);
        assert!(words.contains("deployment"), "it says that a deployment is in the way: {words}");
        settled(&darsena);
        darsena.run_ok(&["apps", "delete", "shop", "--yes"]);
    }
    let left = census::wait_for(&darsena, 0);
    assert!(left.is_empty(), "{}\n{}", left.join("\n"), darsena.log());
    darsena.run_ok(&["deploy", "shop", "--image", &image]);
    assert_eq!(darsena.get("shop.localhost", "/").0, 200, "the name is free again");
}

#[test]
fn suspending_ends_what_runs_and_what_waits() {
    let Some((_registry, _, darsena)) = running_shop() else { return };
    // One that is asked in vain for a while, and one that waits for it.
    darsena.run_ok(&["deploy", "shop", "--no-wait", "--env", "HELLO_BIND=127.0.0.1:1"]);
    let statuses = || -> Vec<String> {
        let rows = rows(&darsena.json(&["deployments", "list", "shop"]));
        rows.iter().map(|row| row["status"].as_str().unwrap().to_owned()).collect()
    };
    eventually("the first one runs", || statuses()[0] == "inProgress");
    darsena.run_ok(&["deploy", "shop", "--no-wait"]);
    assert_eq!(statuses()[0], "waiting");
    darsena.run_ok(&["apps", "suspend", "shop"]);
    eventually("both are over", || {
        statuses()[..2].iter().all(|status| status != "inProgress" && status != "waiting")
    });
    assert!(!statuses()[..2].contains(&"success".to_owned()), "{:?}", statuses());
    assert_eq!(darsena.get("shop.localhost", "/").0, 503);
    let left = census::wait_for(&darsena, 0);
    assert!(left.is_empty(), "{}\n{}", left.join("\n"), darsena.log());
}

#[test]
fn eight_applications_are_deployed_side_by_side() {
    side_by_side(8);
}

#[test]
#[ignore = "long; run by `make soak`"]
fn twenty_applications_are_deployed_side_by_side() {
    side_by_side(20);
}

fn side_by_side(count: usize) {
    if !can_run() {
        return;
    }
    let registry = Registry::start();
    let image = registry.push_hello("demo/hello:1", &[]);
    let darsena = Installation::start(&[registry.address()]);
    let names: Vec<_> = (0..count).map(|number| format!("shop-{number}")).collect();
    let commands: Vec<_> = names.iter().map(|name| ["deploy", name, "--image", &image]).collect();
    let commands: Vec<_> = commands.iter().map(|command| &command[..]).collect();
    for output in at_once(&darsena, &commands) {
        ok(&output);
    }
    for name in &names {
        assert_eq!(darsena.get(&format!("{name}.localhost"), "/").0, 200, "{name}");
    }
    let left = census::wait_for(&darsena, count);
    assert!(left.is_empty(), "{}", left.join("\n"));
}

fn at_once(darsena: &Installation, commands: &[&[&str]]) -> Vec<Output> {
    let running: Vec<_> = commands.iter().map(|command| darsena.spawn(command)).collect();
    running.into_iter().map(|child| child.wait_with_output().unwrap()).collect()
}

/// All deployments came to an end, none failed, the newest one serves from one container.
fn settled(darsena: &Installation) {
    let deployments = || rows(&darsena.json(&["deployments", "list", "shop"]));
    eventually("all came to an end", || deployments().iter().all(|row| row["finished_at"].is_string()));
    let deployments = deployments();
    assert!(deployments.iter().all(|row| row["status"] != "failed"), "{deployments:?}");
    assert_eq!(deployments[0]["status"], "success", "the newest wins: {deployments:?}");
    let serving = darsena.json(&["apps", "show", "shop"])["serving_deployment_id"].clone();
    assert_eq!(serving, deployments[0]["id"]);
    let left = census::wait_for(darsena, 1);
    assert!(left.is_empty(), "{}\n{}", left.join("\n"), darsena.log());
}
