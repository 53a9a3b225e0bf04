//! An application that wants more memory than it may have: it alone is ended, and everybody is told.

use crate::harness::eventually;
use crate::sources::running_shop;

#[test]
fn an_application_that_eats_too_much_is_ended_alone_and_the_limit_is_named() {
    let Some((_registry, image, darsena)) = running_shop() else { return };
    darsena.run_ok(&["deploy", "other", "--image", &image]);
    let before = darsena.container_pids();

    // The answer is lost with the application.
    let _ = crate::harness::request(darsena.http, "shop.localhost", "/eat/2000");
    let condition = || darsena.json(&["apps", "show", "shop"])["condition"].clone();
    eventually("it is told why", || {
        let condition = condition();
        let words = condition["last_end"].as_str().unwrap_or_default();
        words.starts_with("killed: out of memory at ") && words.ends_with(" MB")
    });
    eventually("it serves again", || darsena.get("shop.localhost", "/").0 == 200);
    let after = darsena.container_pids();
    assert_eq!(after.len(), 2);
    assert_eq!(after.iter().filter(|pid| before.contains(pid)).count(), 1, "the other one was left alone");
}
