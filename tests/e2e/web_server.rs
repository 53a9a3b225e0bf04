//! Somebody else's program: nginx from Debian's packages, as an image at a registry.

use crate::harness::{Installation, can_run};
use crate::sources::Registry;

#[test]
fn nginx_of_debian_serves_through_the_ingress() {
    if !can_run() {
        return;
    }
    let registry = Registry::start();
    let image = registry.push_nginx("demo/web:1");
    let darsena = Installation::start(&[registry.address()]);
    darsena.run_ok(&["deploy", "web", "--image", &image]);
    let (status, body) = darsena.get("web.localhost", "/");
    assert_eq!(status, 200);
    assert!(body.contains("nginx of Debian in Darsena"), "{body}");

    let inspected = darsena.json(&["images", "inspect", &image]);
    assert_eq!(inspected["exposed_ports"][0]["port"], 80);
    assert_eq!(inspected["platform"]["architecture"], "amd64");
}

#[test]
fn an_application_that_speaks_http2_alone_is_deployed_as_grpc() {
    if !can_run() {
        return;
    }
    let registry = Registry::start();
    let image = registry.push_nginx_with_http2("demo/grpc:1");
    let darsena = Installation::start(&[registry.address()]);
    darsena.run_ok(&["deploy", "rpc", "--image", &image, "--protocol", "grpc"]);
    darsena.run_ok(&["deploy", "rpc"]);
    let (status, body) = darsena.get("rpc.localhost", "/");
    assert!(status == 200 && body.contains("nginx of Debian in Darsena"), "{status} {body}");

    // Spoken to as the others are it answers nothing that the ingress could give on.
    let refused = darsena.run_failing(&["deploy", "rpc", "--protocol", "http"]);
    assert!(refused.contains("counts at once"), "{refused}");
    assert_eq!(darsena.get("rpc.localhost", "/").0, 200, "nothing was changed");
    darsena.run_ok(&["apps", "update", "rpc", "--protocol", "http"]);
    assert_eq!(darsena.get("rpc.localhost", "/").0, 502);
    let refused = darsena.run_failing(&["deploy", "rpc"]);
    assert!(refused.contains("answered no HTTP request"), "{refused}");
    darsena.run_ok(&["apps", "update", "rpc", "--protocol", "grpc"]);
    assert_eq!(darsena.get("rpc.localhost", "/").0, 200);
}
