//! What people get wrong, and registries: a clear error, nothing lost, nothing half done.

use crate::harness::{DARSENA, Installation, can_run, rows};
use crate::sources::Registry;

#[test]
fn images_that_cannot_be_had_are_refused_with_their_cause() {
    if !can_run() {
        return;
    }
    let registry = Registry::start();
    registry.push_hello("demo/hello:1", &[]);
    let arm = registry.push_for_arm64("demo/arm:1");
    let escaping = registry.push_escaping("demo/escape:1");
    let down = crate::sources::address_without_a_listener();
    let darsena = Installation::start(&[registry.address(), &down]);
    let host = registry.address();

    for (name, image, words) in [
        ("app-a", format!("{host}/demo/nothing:1"), "has no image demo/nothing"),
        ("app-b", format!("{host}/demo/hello:9"), "has no tag \"9\""),
        ("app-c", format!("{down}/demo/hello:1"), "cannot be reached"),
        ("app-d", arm, "it has no linux/amd64; it has: linux/arm64"),
        ("app-e", escaping, "../../../escaped"),
        ("app-f", "Nginx".to_owned(), "lower case"),
        ("app-g", "https://hub.docker.com/r/x/y".to_owned(), "https://"),
        ("app-h", format!("{host}/demo/hello@sha256:{}", "0".repeat(64)), "has no digest"),
    ] {
        let said = darsena.run_failing(&["deploy", name, "--image", &image]);
        assert!(said.contains(words), "{image}: {said}");
    }
    assert!(darsena.container_pids().is_empty());
    assert!(!std::path::Path::new("/escaped").exists() && !std::path::Path::new("/var/tmp/escaped").exists());
}

#[test]
fn names_and_ports_are_checked() {
    if !can_run() {
        return;
    }
    let darsena = Installation::start(&[]);
    for name in ["../x", "a_b", "Shop", "-x", "a b", &"x".repeat(64)] {
        let output = darsena.run(&["deploy", "--image", "nginx", "--", name]);
        assert_ne!(output.status.code(), Some(0), "{name}");
        let words = String::from_utf8(output.stderr).unwrap();
        assert!(words.contains("name"), "{name}: {words}");
    }
    for port in ["0", "65536", "x"] {
        let output = darsena.run(&["deploy", "shop", "--image", "nginx", "--port", port]);
        assert_eq!(output.status.code(), Some(2), "port {port}");
    }
    let apps = darsena.json(&["apps", "list"]);
    assert!(rows(&apps).is_empty(), "{apps}");
}

#[test]
fn a_second_serve_on_the_same_folder_or_port_is_told_so() {
    if !can_run() {
        return;
    }
    let darsena = Installation::start(&[]);
    let data = darsena.data().to_str().unwrap();
    let second = std::process::Command::new(DARSENA).args(["serve", "--data", data]).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("another `darsena serve` works on"));

    let other = tempfile::Builder::new().prefix("darsena-e2e.").tempdir_in("/var/tmp").unwrap();
    let api = darsena.api.to_string();
    let taken = std::process::Command::new(DARSENA)
        .args(["serve", "--data", other.path().to_str().unwrap(), "--api", &api])
        .output()
        .unwrap();
    assert_eq!(taken.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&taken.stderr).contains(&format!("the API cannot listen on {api}")));
    crate::leftovers::wait_until_clean(&other.path().canonicalize().unwrap()).unwrap();
}
