//! A release that does not answer: the deployment fails with its cause, and the old release serves.

use crate::harness::{Installation, rows};
use crate::sources::running_shop;

#[test]
fn a_release_that_does_not_answer_never_gets_traffic() {
    let Some((registry, _, darsena)) = running_shop() else { return };

    // It ends at once: exit code and last log lines are told.
    let words = darsena.run_failing(&["deploy", "shop", "--env", "HELLO_EXIT=3"]);
    assert!(words.contains("ended with code 3"), "{words}");
    assert!(words.contains("ending with code 3, as HELLO_EXIT asks"), "{words}");
    good_one_serves(&darsena);

    let deployments = darsena.json(&["deployments", "list", "shop"]);
    let failed = &rows(&deployments)[0];
    assert_eq!(failed["status"], "failed");
    assert_eq!(failed["failure"]["code"], "exited_early");
    assert_eq!(failed["failure"]["exit_code"], 3);

    // It listens where nobody reaches it.
    darsena.run_ok(&["env", "shop", "unset", "HELLO_EXIT"]);
    let words = darsena.run_failing(&["deploy", "shop", "--env", "HELLO_BIND=127.0.0.1:8080"]);
    assert!(words.contains("it listens on 127.0.0.1:8080, not on 0.0.0.0"), "{words}");
    good_one_serves(&darsena);

    // A command that is not in the image.
    darsena.run_ok(&["env", "shop", "unset", "HELLO_BIND"]);
    let nothing = registry.push_with_entrypoint("demo/hello:none", "/no/such/program");
    let words = darsena.run_failing(&["deploy", "shop", "--image", &nothing]);
    assert!(words.contains("/no/such/program"), "{words}");
    good_one_serves(&darsena);
    assert_eq!(darsena.container_pids().len(), 1, "failed containers are gone");
}

fn good_one_serves(darsena: &Installation) {
    let (status, body) = darsena.get("shop.localhost", "/");
    assert_eq!(status, 200);
    assert!(body.contains("the first one"), "{body}");
}
