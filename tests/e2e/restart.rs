//! The control plane dies and comes back; applications do not notice.

use nix::sys::signal::Signal;

use crate::harness::{Installation, can_run, eventually, request, rows};
use crate::sources::{Registry, running_shop};

#[test]
fn applications_outlive_a_killed_control_plane() {
    let Some((_registry, _, mut darsena)) = running_shop() else { return };
    let pids = darsena.container_pids();
    let (_, release, _) = darsena.request("shop.localhost", "/");

    darsena.kill_serve();
    let (status, same_release, _) = darsena.request("shop.localhost", "/while-it-is-gone");
    assert_eq!((status, &same_release), (200, &release), "it serves without a control plane");

    darsena.serve();
    assert_eq!(darsena.request("shop.localhost", "/").1, release);
    assert_eq!(darsena.container_pids(), pids, "the container was adopted, not started again");
    darsena.run_ok(&["deploy", "shop"]);
    assert_eq!(darsena.get("shop.localhost", "/").0, 200);

    // SIGTERM is no different for the application.
    let pids = darsena.container_pids();
    darsena.end_serve(Signal::SIGTERM);
    assert_eq!(darsena.get("shop.localhost", "/").0, 200);
    darsena.serve();
    assert_eq!(darsena.container_pids(), pids);
}

#[test]
fn ctrl_c_stops_everything_and_the_next_start_brings_it_back() {
    let Some((registry, _, mut darsena)) = running_shop() else { return };
    drop(registry);

    // A terminal sends it to everybody, and a script passes it on: twice at once is one.
    let serve = nix::unistd::Pid::from_raw(darsena.serve_pid() as i32);
    nix::sys::signal::kill(serve, Signal::SIGINT).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    darsena.end_serve(Signal::SIGINT);
    let data = darsena.data().canonicalize().unwrap();
    crate::leftovers::wait_until_clean(&data).unwrap_or_else(|left| panic!("left behind:\n{left}"));
    assert!(request(darsena.http, "shop.localhost", "/").is_err(), "the ingress is gone");

    darsena.serve();
    eventually("it serves again, without the registry", || darsena.get("shop.localhost", "/").0 == 200);
}

#[test]
fn a_deployment_under_way_is_carried_on_after_a_kill() {
    if !can_run() {
        return;
    }
    let registry = Registry::start();
    let image = registry.push_hello("demo/hello:1", &[]);
    let mut darsena = Installation::start(&[registry.address()]);

    // One that waits for health until it is killed: the sample answers only after the restart.
    darsena.run_ok(&["deploy", "shop", "--image", &image, "--no-wait", "--env", "HELLO_BIND=127.0.0.1:1"]);
    eventually("it is checked", || {
        darsena.log().contains("waiting until it answers") || !darsena.container_pids().is_empty()
    });
    darsena.kill_serve();
    darsena.serve();
    let deployments = darsena.json(&["deployments", "list", "shop"]);
    let id = rows(&deployments)[0]["id"].as_str().unwrap().to_owned();
    darsena.run_ok(&["deployments", "cancel", "shop", &id]);
    eventually("it ends as cancelled", || {
        darsena.json(&["deployments", "show", "shop", &id])["status"] == "cancelled"
    });
    assert!(darsena.container_pids().is_empty(), "its container is gone");

    darsena.run_ok(&["env", "shop", "unset", "HELLO_BIND"]);
    darsena.run_ok(&["deploy", "shop"]);
    assert_eq!(darsena.get("shop.localhost", "/").0, 200);
}

#[test]
fn a_pull_under_way_is_carried_on_after_a_kill() {
    if !can_run() {
        return;
    }
    let registry = Registry::start();
    let image = registry.push_large("demo/large:1", 96 << 20);
    let mut darsena = Installation::start(&[registry.address()]);
    darsena.run_ok(&["deploy", "shop", "--image", &image, "--no-wait"]);
    eventually("layers come", || !darsena.layers_under_way().is_empty());
    darsena.kill_serve();
    darsena.serve();
    eventually("it is deployed", || {
        rows(&darsena.json(&["deployments", "list", "shop"]))[0]["status"] == "success"
    });
    assert_eq!(darsena.get("shop.localhost", "/").0, 200);
    assert!(darsena.layers_under_way().is_empty(), "what the killed one had begun is gone");
}

#[test]
fn a_crashed_container_and_a_killed_ingress_come_back() {
    let Some((_registry, _, darsena)) = running_shop() else { return };

    let pids = darsena.container_pids();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pids[0] as i32), Signal::SIGKILL).unwrap();
    eventually("another container serves", || {
        darsena.container_pids() != pids
            && matches!(request(darsena.http, "shop.localhost", "/"), Ok((200, _, _)))
    });
    let condition = darsena.json(&["apps", "show", "shop"])["condition"].clone();
    assert_eq!(condition["state"], "running", "{condition}");
    assert_eq!(condition["restarts"], 1, "{condition}");
    assert_eq!(condition["last_end"], "signal 9 (code 137)", "{condition}");

    nix::sys::signal::kill(nix::unistd::Pid::from_raw(darsena.ingress_pid() as i32), Signal::SIGKILL)
        .unwrap();
    eventually("another ingress serves", || {
        matches!(request(darsena.http, "shop.localhost", "/"), Ok((200, _, _)))
    });
}
