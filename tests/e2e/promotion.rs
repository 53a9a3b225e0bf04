//! The same artefact: what was tried out in one application is what serves in another.

use crate::git_builds::Bench;
use crate::harness::{eventually, rows};

#[test]
fn the_image_of_one_application_is_promoted_to_another_without_a_build() {
    let Some(bench) = Bench::start() else { return };
    let commit = bench.commit_site("tried out");
    bench.darsena.run_ok(&["deploy", "site", "--git", &bench.url()]);
    // The other one runs something else so far, on another port.
    let hello = bench.registry.push_hello("demo/hello:1", &[]);
    bench.darsena.run_ok(&["deploy", "shop", "--image", &hello, "--env", "GREETING=of the shop"]);

    // Nobody is asked: neither the repository nor the registry is there any more.
    let (darsena, sources) = bench.without_sources();
    drop(sources);
    let words = darsena.run_failing(&["promote", "shop", "nothing"]);
    assert!(words.contains("nothing"), "{words}");
    darsena.run_ok(&["promote", "site", "shop"]);
    assert_eq!(darsena.get("shop.localhost", "/").1, "nobody: tried out\n", "built once, for the first");

    let deployments = |app: &str| rows(&darsena.json(&["deployments", "list", app]));
    let (from, to) = (deployments("site")[0].clone(), deployments("shop")[0].clone());
    assert_eq!(to["trigger"], "PROMOTE", "{to}");
    assert_eq!(to["commit_sha"], commit.as_str(), "{to}");
    assert_eq!(to["docker_image_digest"], from["docker_image_digest"], "{to}");
    assert!(
        from["docker_image_digest"].as_str().is_some_and(|digest| digest.starts_with("sha256:")),
        "{from}"
    );

    // Back to what the other one had, and forth again.
    darsena.run_ok(&["deployments", "rollback", "shop"]);
    eventually("what it had serves again", || darsena.get("shop.localhost", "/").1.contains("Ahoy"));

    // It lives on without the first one.
    darsena.run_ok(&["promote", "site", "shop"]);
    darsena.run_ok(&["apps", "delete", "site", "--yes"]);
    assert_eq!(darsena.get("shop.localhost", "/").1, "nobody: tried out\n");
    darsena.run_ok(&["apps", "suspend", "shop"]);
    darsena.run_ok(&["apps", "activate", "shop"]);
    eventually("it starts again from what is here", || {
        darsena.get("shop.localhost", "/").1 == "nobody: tried out\n"
    });
}
