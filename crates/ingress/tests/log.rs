//! The log of the process, which people must not be able to fill the disk with.

mod support;

use std::fs;

use support::place::Place;

#[tokio::test]
async fn a_log_that_grew_too_large_is_cut_to_its_end() {
    let place = Place::new();
    let log = place.folder.path().join("log/ingress.log");
    fs::create_dir_all(log.parent().unwrap()).unwrap();
    fs::write(&log, "a line of some forty bytes, and no more.\n".repeat(300_000) + "the last one\n").unwrap();
    let client = place.client().await;
    assert!(client.hello().await.is_ok());
    let kept = fs::read_to_string(&log).unwrap();
    assert!(kept.len() <= 1 << 20, "{} bytes", kept.len());
    assert!(kept.starts_with("a line") && kept.contains("the last one\n"));
}
