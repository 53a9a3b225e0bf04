//! Several containers behind one URL: they share the requests, and one that is lost or unwell is made good for by
//! the others.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::harness::{Installation, PATIENCE, eventually, rows};
use crate::load::Load;
use crate::sources::running_shop;

/// The sample application is sick when its health path says so, seen twice within two seconds.
fn health(failures: u32) -> Value {
    json!({"httpGet": {"path": "/health"}, "periodSeconds": 1, "failureThreshold": failures})
}

/// Changes the web process of `shop` by the API.
fn change_process(darsena: &Installation, change: &Value) {
    let id = darsena.json(&["apps", "show", "shop"])["id"].as_str().unwrap().to_owned();
    let processes = api(darsena, "GET", &format!("/v3/applications/{id}/processes"), None);
    let process = rows(&processes)[0]["id"].as_str().unwrap().to_owned();
    api(darsena, "PATCH", &format!("/v3/applications/{id}/processes/{process}"), Some(change));
}

/// A call of the API that must succeed.
fn api(darsena: &Installation, method: &str, path: &str, body: Option<&Value>) -> Value {
    let body = body.map(Value::to_string).unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        darsena.token,
        body.len()
    );
    let answer = exchange(darsena.api, &(head + &body));
    assert!(answer.starts_with("HTTP/1.1 200"), "{method} {path}: {answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error} in {body}"))
}

/// The number of the instance that answers a request.
fn answered_by(darsena: &Installation, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: shop.localhost\r\nconnection: close\r\n\r\n");
    let answer = exchange(darsena.http, &request);
    let instance = answer.lines().find_map(|line| line.strip_prefix("x-instance: "));
    instance.unwrap_or_else(|| panic!("no instance in {answer}")).to_owned()
}

fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The numbers of the instances that answer.
fn instances(darsena: &Installation) -> BTreeSet<String> {
    (0..12).map(|_| answered_by(darsena, "/who")).collect()
}

#[test]
fn three_instances_share_the_requests_and_one_that_dies_is_not_missed() {
    let Some((_registry, _, mut darsena)) = running_shop() else { return };
    change_process(&darsena, &json!({"instances": 3, "readiness_probe": health(2)}));
    assert_eq!(darsena.container_pids().len(), 1, "another number counts from the next deployment");
    let load = Load::start(darsena.http, &["shop"], 100);
    darsena.run_ok(&["deploy", "shop"]);
    let pids = darsena.container_pids();
    assert_eq!(pids.len(), 3);
    assert_eq!(instances(&darsena), ["1", "2", "3"].map(str::to_owned).into());
    for _ in 0..3 {
        darsena.run_ok(&["deploy", "shop"]);
    }

    // The control plane goes and comes: nothing is started again.
    let pids = darsena.container_pids();
    darsena.kill_serve();
    darsena.serve();
    assert_eq!(darsena.container_pids(), pids);
    load.stop().assert_flawless();

    // A request that the dying one works on is lost with it; whoever comes after it is answered by the others.
    kill(Pid::from_raw(pids[1] as i32), Signal::SIGKILL).unwrap();
    eventually("the ended one is started again", || {
        let now = darsena.container_pids();
        now.len() == 3 && now != pids
    });
    eventually("all three answer again", || instances(&darsena).len() == 3);

    change_process(&darsena, &json!({"instances": 1}));
    darsena.run_ok(&["deploy", "shop"]);
    assert_eq!(darsena.container_pids().len(), 1);
}

#[test]
fn an_instance_that_is_not_ready_gets_no_requests_until_it_is() {
    let Some((_registry, _, darsena)) = running_shop() else { return };
    change_process(&darsena, &json!({"instances": 2, "readiness_probe": health(2)}));
    darsena.run_ok(&["deploy", "shop"]);
    let pids = darsena.container_pids();
    let sick = answered_by(&darsena, "/sick");
    eventually("only the other one answers", || {
        let answering = instances(&darsena);
        answering.len() == 1 && !answering.contains(&sick)
    });
    // Now the other one as well: the last one that is left stays, whatever it says of itself.
    darsena.get("shop.localhost", "/sick");
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(instances(&darsena).len(), 1);
    assert_eq!(darsena.container_pids(), pids, "readiness starts nothing again");
}

#[test]
fn a_container_that_is_not_alive_is_started_again() {
    let Some((_registry, _, darsena)) = running_shop() else { return };
    change_process(&darsena, &json!({"liveness_probe": health(2)}));
    darsena.run_ok(&["deploy", "shop"]);
    let pids = darsena.container_pids();
    darsena.get("shop.localhost", "/sick");
    eventually("it is started again", || {
        let now = darsena.container_pids();
        now.len() == 1 && now != pids
    });
    eventually("it is well", || darsena.get("shop.localhost", "/health").0 == 200);
    let shop = darsena.json(&["apps", "show", "shop"]);
    let words = shop["condition"]["last_end"].as_str().unwrap();
    assert!(words.contains("not alive") && words.contains("503"), "{shop}");
}

#[test]
fn a_command_inside_the_container_says_whether_it_is_ready() {
    let Some((_registry, _, darsena)) = running_shop() else { return };
    let good = json!({"exec": {"command": ["/hello", "--check"]}, "periodSeconds": 1});
    change_process(&darsena, &json!({"readiness_probe": good}));
    darsena.run_ok(&["deploy", "shop"]);

    let bad = json!({"exec": {"command": ["/no-such-program"]}, "periodSeconds": 1, "failureThreshold": 2});
    change_process(&darsena, &json!({"liveness_probe": bad}));
    darsena.run_ok(&["deploy", "shop"]);
    eventually("a liveness command that cannot be run counts as a failure", || {
        let shop = darsena.json(&["apps", "show", "shop"]);
        shop["condition"]["last_end"].as_str().is_some_and(|words| words.contains("/no-such-program"))
    });
}

#[test]
fn an_application_can_be_hidden_and_shown_without_a_deployment() {
    let Some((_registry, _, darsena)) = running_shop() else { return };
    let pids = darsena.container_pids();
    change_process(&darsena, &json!({"is_ingress_enabled": false}));
    assert_eq!(darsena.get("shop.localhost", "/").0, 404);
    darsena.run_ok(&["deploy", "shop"]);
    assert_eq!(darsena.get("shop.localhost", "/").0, 404, "a deployment does not show it");
    change_process(&darsena, &json!({"is_ingress_enabled": true}));
    assert_eq!(darsena.get("shop.localhost", "/").0, 200);
    assert_ne!(darsena.container_pids(), pids);
}
