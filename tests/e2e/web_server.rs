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
