//! P19 of the fault list: a request to deploy that arrives twice is carried out once, also when the control plane is
//! killed after it wrote the deployment down and before it answered.

use std::fs;

use crate::harness::{Installation, Setting, can_run, eventually, ok, rows};
use crate::sources::Registry;

#[test]
fn a_deployment_whose_answer_got_lost_in_a_kill_is_asked_for_again_and_made_once() {
    if !can_run() {
        return;
    }
    let registry = Registry::start();
    let image = registry.push_hello("demo/hello:1", &[("HELLO_TEXT", "once")]);
    let points = tempfile::tempdir().unwrap();
    let mut darsena = Installation::start_with(Setting {
        insecure: vec![registry.address().to_owned()],
        failpoints: Some(points.path().to_owned()),
        ..Setting::default()
    });
    let point = points.path().join("S1");
    fs::write(&point, "").unwrap();
    let deploy = darsena.spawn(&["deploy", "shop", "--image", &image]);
    eventually("the deployment is written down", || fs::read(&point).is_ok_and(|held| !held.is_empty()));
    darsena.kill_serve();
    fs::remove_file(&point).unwrap();
    darsena.serve();

    let printed = ok(&deploy.wait_with_output().unwrap());
    assert!(printed.lines().last().is_some_and(|url| url.starts_with("http://shop.localhost")), "{printed}");
    let deployments = rows(&darsena.json(&["deployments", "list", "shop"]));
    assert_eq!(deployments.len(), 1, "{deployments:#?}");
    assert_eq!(deployments[0]["status"], "success");
    assert!(darsena.get("shop.localhost", "/").1.contains("once"));
}
