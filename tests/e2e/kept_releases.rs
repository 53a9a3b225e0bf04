//! Going back to any kept release from this machine alone, and what is removed beyond them.

use crate::harness::{Installation, can_run, eventually, rows};
use crate::sources::Registry;

const RELEASES: usize = 12;

#[test]
fn each_of_the_last_ten_releases_comes_back_without_the_registry() {
    if !can_run() {
        return;
    }
    let registry = Registry::start();
    let darsena = Installation::start(&[registry.address()]);
    for number in 0..RELEASES {
        let image = registry.push_numbered(&format!("demo/hello:{number}"), number);
        darsena.run_ok(&["deploy", "shop", "--image", &image, "--env", &format!("TURN={number}")]);
    }
    drop(registry);
    // Newest first.
    let deployments = rows(&darsena.json(&["deployments", "list", "shop"]));
    assert_eq!(deployments.len(), RELEASES);
    let id = |number: usize| deployments[RELEASES - 1 - number]["id"].as_str().unwrap().to_owned();
    // The layer that all have, and those of the ten that are kept.
    eventually("the layers of the others are gone", || layers(&darsena) == 1 + 10);

    for number in [2, 11, 7] {
        darsena.run_ok(&["deployments", "rollback", "shop", &id(number)]);
        let (status, page) = darsena.get("shop.localhost", "/");
        assert!(status == 200 && page.contains(&format!("number {number}<")), "{status} {page}");
    }
    let gone = darsena.run_failing(&["deployments", "rollback", "shop", &id(0)]);
    assert!(gone.contains("cannot be reached") || gone.contains("refused"), "{gone}");
    assert!(darsena.get("shop.localhost", "/").1.contains("number 7<"), "what served goes on");
}

fn layers(darsena: &Installation) -> usize {
    std::fs::read_dir(darsena.data().join("images/layers")).unwrap().count()
}
