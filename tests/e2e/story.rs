//! The main job: from an image at a registry to an application with a URL, and everything after that.

use crate::harness::{Installation, can_run, eventually, rows};
use crate::sources::{Registry, running_shop};

#[test]
fn an_image_becomes_an_application_with_a_url() {
    if !can_run() {
        return;
    }
    let registry = Registry::start();
    let first = registry.push_hello("demo/hello:1", &[("HELLO_TEXT", "first")]);
    let second = registry.push_hello("demo/hello:2", &[("HELLO_TEXT", "second")]);
    let darsena = Installation::start(&[registry.address()]);

    // Deploying prints the URL last, and it answers.
    let printed = darsena.run_ok(&["deploy", "shop", "--image", &first]);
    let url = format!("http://shop.localhost:{}/", darsena.http.port());
    assert_eq!(printed.lines().last(), Some(url.as_str()), "{printed}");
    let (status, body) = darsena.get("shop.localhost", "/");
    assert_eq!(status, 200);
    assert!(body.contains("first") && body.contains("Ahoy from shop"), "{body}");

    // What the API tells about it.
    let app = darsena.json(&["apps", "show", "shop"]);
    assert_eq!(app["status"], "deploymentSuccess");
    assert_eq!(app["docker_image"], first);
    assert!(app["docker_image_digest"].as_str().unwrap().starts_with("sha256:"));
    let (_, release, _) = darsena.request("shop.localhost", "/");

    // Another version takes its place; an unknown host is never "the first app".
    darsena.run_ok(&["deploy", "shop", "--image", &second]);
    let (_, body) = darsena.get("shop.localhost", "/");
    assert!(body.contains("second"), "{body}");
    assert_ne!(darsena.request("shop.localhost", "/").1, release);
    assert_eq!(darsena.get("nobody.localhost", "/").0, 404);
    assert_eq!(darsena.container_pids().len(), 1, "the old container is gone");

    // Back again, exactly.
    darsena.run_ok(&["deployments", "rollback", "shop"]);
    eventually("the first release serves again", || darsena.request("shop.localhost", "/").1 == release);

    // Logs are what the container printed.
    darsena.get("shop.localhost", "/a-path-to-find");
    eventually("the log holds the request", || {
        darsena.run_ok(&["logs", "shop"]).contains("GET /a-path-to-find")
    });

    let deployments = darsena.json(&["deployments", "list", "shop"]);
    let statuses: Vec<_> = rows(&deployments).iter().map(|row| row["status"].clone()).collect();
    assert_eq!(statuses, ["success", "success", "success"]);
}

#[test]
fn variables_and_port_reach_the_application_with_the_next_deployment() {
    if !can_run() {
        return;
    }
    let registry = Registry::start();
    let image = registry.push_hello("demo/hello:1", &[]);
    let darsena = Installation::start(&[registry.address()]);
    darsena.run_ok(&[
        "deploy",
        "shop",
        "--image",
        &image,
        "--port",
        "9000",
        "--env",
        "HELLO_TEXT=it's $(id) & <b>",
    ]);
    let (_, body) = darsena.get("shop.localhost", "/");
    assert!(body.contains("it's $(id) &amp; &lt;b&gt;"), "the value arrives byte for byte: {body}");

    darsena.run_ok(&["env", "shop", "set", "HELLO_TEXT=changed"]);
    assert!(!darsena.get("shop.localhost", "/").1.contains("changed"), "it counts from the next deployment");
    darsena.run_ok(&["deploy", "shop"]);
    assert!(darsena.get("shop.localhost", "/").1.contains("changed"));
}

#[test]
fn an_application_is_suspended_activated_and_deleted() {
    let Some((_registry, _, darsena)) = running_shop() else { return };

    darsena.run_ok(&["apps", "suspend", "shop"]);
    assert_eq!(darsena.get("shop.localhost", "/").0, 503);
    assert!(darsena.container_pids().is_empty());

    darsena.run_ok(&["apps", "activate", "shop"]);
    eventually("it serves again", || darsena.get("shop.localhost", "/").0 == 200);

    darsena.run_ok(&["apps", "delete", "shop", "--yes"]);
    assert_eq!(darsena.get("shop.localhost", "/").0, 404);
    assert!(darsena.container_pids().is_empty());
    assert!(rows(&darsena.json(&["apps", "list"])).is_empty());
}
