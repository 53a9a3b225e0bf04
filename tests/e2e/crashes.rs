//! Applications that end by themselves after they were switched to: they are started again for ever, with growing
//! pauses that everybody can see. Going back is a person's decision.

use serde_json::Value;

use crate::census;
use crate::harness::{Installation, can_run, eventually, request, rows};
use crate::sources::{Registry, running_shop};

#[test]
fn an_application_that_keeps_ending_is_started_again_with_growing_pauses() {
    if !can_run() {
        return;
    }
    let registry = Registry::start();
    let image = registry.push_hello("demo/hello:1", &[]);
    let darsena = Installation::start(&[registry.address()]);
    // Ended as wished, with a fault, as by SIGKILL, as by SIGSEGV.
    for code in ["0", "1", "137", "139"] {
        let name = &format!("ends-{code}");
        darsena.run_ok(&["deploy", name, "--image", &image]);
        eventually(&format!("{name} was started again and waits for the next time"), || {
            // Whenever it is back, it is made to end again.
            let _ = request(darsena.http, &format!("{name}.localhost"), &format!("/crash/{code}"));
            let condition = condition(&darsena, name);
            condition["restarts"].as_u64().is_some_and(|restarts| restarts >= 3)
                && condition["next_start_at"].is_string()
        });
        let condition = condition(&darsena, name);
        let end = condition["last_end"].as_str().unwrap_or_default();
        assert!(end.contains(&format!("code {code}")), "{name}: {condition}");
        for pause in ["pause_ms=1000", "pause_ms=2000"] {
            let is_it = |line: &str| line.contains(&format!("app={name}")) && line.contains(pause);
            assert!(darsena.log().lines().any(is_it), "{name}: no line with {pause}\n{}", darsena.log());
        }
    }
}

#[test]
fn a_release_that_crashes_after_the_switch_stays_and_is_seen_and_can_be_left() {
    let Some((_registry, _, darsena)) = running_shop() else { return };
    let first = darsena.request("shop.localhost", "/").1.unwrap();
    darsena.run_ok(&["deploy", "shop"]);
    let newest = || rows(&darsena.json(&["deployments", "list", "shop"]))[0].clone();
    let deployed = newest();
    // However it answers, its process is gone.
    let _ = request(darsena.http, "shop.localhost", "/crash/9");
    eventually("it crashed", || condition(&darsena, "shop")["restarts"].as_u64().is_some_and(|n| n >= 1));
    assert_eq!(condition(&darsena, "shop")["last_end"], "code 9");
    assert_eq!(newest(), deployed, "nothing was deployed by itself");
    assert_eq!(deployed["status"], "success", "it had answered through the ingress: {deployed}");

    darsena.run_ok(&["deployments", "rollback", "shop"]);
    assert_eq!(darsena.request("shop.localhost", "/").1.unwrap(), first, "the very release of before");
    let left = census::wait_for(&darsena, 1);
    assert!(left.is_empty(), "{}", left.join("\n"));
}

fn condition(darsena: &Installation, name: &str) -> Value {
    darsena.json(&["apps", "show", name])["condition"].clone()
}
