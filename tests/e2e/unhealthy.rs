//! New releases that are not ready, each in its own way: the old one serves on, and the failure says what was seen.

use crate::census;
use crate::harness::{Installation, can_run};
use crate::load::Load;
use crate::sources::Registry;

/// A way not to be ready: a name, what the release is given, and words of the failure.
const WAYS: [(&str, &[&str], &[&str]); 5] = [
    ("silent", &["--env", "HELLO_ANSWER=silence", "--health-path", "/health"], &["no answer"]),
    ("elsewhere", &["--env", "HELLO_BIND=0.0.0.0:9999"], &["8080", "9999"]),
    ("loopback", &["--env", "HELLO_BIND=127.0.0.1:8080"], &["it listens on 127.0.0.1:8080, not on 0.0.0.0"]),
    ("failing", &["--env", "HELLO_ANSWER=500", "--health-path", "/health"], &["500"]),
    ("closing", &["--env", "HELLO_ANSWER=close"], &["closed the connection"]),
];

#[test]
fn a_release_that_is_not_ready_gets_no_traffic_and_the_failure_says_what_was_seen() {
    if !can_run() {
        return;
    }
    let registry = Registry::start();
    let image = registry.push_hello("demo/hello:1", &[]);
    let darsena = Installation::start(&[registry.address()]);
    for (name, ..) in WAYS {
        darsena.run_ok(&["deploy", name, "--image", &image]);
    }
    let load = Load::start(darsena.http, &WAYS.map(|(name, ..)| name), 100);
    let first: Vec<_> = WAYS.iter().map(|(name, ..)| release(&darsena, name)).collect();

    // Side by side, because some of them are given a whole minute.
    let deployments = WAYS.map(|(name, with, _)| darsena.spawn(&[&["deploy", name], with].concat()));
    for (deployment, (name, _, expected)) in deployments.into_iter().zip(WAYS) {
        let output = deployment.wait_with_output().unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}: {words}");
        for word in expected {
            assert!(words.contains(word), "{name} should say {word:?}: {words}");
        }
    }
    for ((name, ..), first) in WAYS.iter().zip(first) {
        assert_eq!(release(&darsena, name), first, "{name}: the old release serves");
        assert_eq!(load.releases(name).len(), 1, "{name}: nobody saw the new one");
    }
    load.stop().assert_flawless();
    let left = census::wait_for(&darsena, WAYS.len());
    assert!(left.is_empty(), "{}", left.join("\n"));
}

#[test]
fn a_health_path_that_redirects_is_healthy() {
    if !can_run() {
        return;
    }
    let registry = Registry::start();
    let image = registry.push_hello("demo/hello:1", &[("HELLO_ANSWER", "302")]);
    let darsena = Installation::start(&[registry.address()]);
    darsena.run_ok(&["deploy", "shop", "--image", &image, "--health-path", "/health"]);
    assert_eq!(darsena.request("shop.localhost", "/").0, 302);
}

fn release(darsena: &Installation, name: &str) -> String {
    darsena.request(&format!("{name}.localhost"), "/").1.unwrap()
}
