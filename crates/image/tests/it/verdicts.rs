//! What a registry says of a login, without a pull.

use std::time::{Duration, Instant};

use image::{Login, Verdict};
use model::FailureCode as Code;
use testkit::lab::Lab;
use testkit::registry::{Bad, Good, Reply};
use testkit::tls::TestCa;
use testkit::tokens::{Style, TokenServer};

use crate::support::{BASIC, Bench, SECRET, ada, company, fails, is_root};

async fn verdict(bench: &Bench, host: &str, login: &Login) -> (&'static str, String) {
    match bench.store.verify(host, login, company()).await.unwrap() {
        Verdict::Accepted => ("accepted", String::new()),
        Verdict::Rejected { words } => ("rejected", words),
        Verdict::ScopeMissing { words } => ("scope missing", words),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_at_debians_registry_with_htpasswd() {
    let registry = Good::with_htpasswd("ada", SECRET).unwrap();
    let bench = Bench::new(&[registry.host()]);
    assert_eq!(verdict(&bench, &registry.host(), &ada()).await.0, "accepted");
    let (verdict, words) = verdict(&bench, &registry.host(), &Login::new("ada", "wrong-secret")).await;
    assert_eq!(verdict, "rejected");
    assert!(words.contains(&registry.host()) && !words.contains("wrong-secret"), "{words}");
}

/// In each registry's own way: accepted, wrong, expired, revoked, without the scope.
#[test]
fn logins_at_registries_with_tokens() {
    if !is_root() {
        return;
    }
    let ca = TestCa::new().unwrap();
    Lab::new().trust(ca.path()).run(async move |_| {
        for style in [Style::Hub, Style::Ghcr, Style::Gitlab, Style::Azure] {
            let tokens = TokenServer::start(style, &ca).unwrap();
            let registry = Good::with_tokens(&tokens, &ca).unwrap();
            let host = registry.host();
            let bench = Bench::with(&[], |config| {
                config.private_registries = vec![registry.host(), tokens.host()];
            });
            let ask = async || verdict(&bench, &host, &ada()).await;
            assert_eq!(ask().await.0, "rejected", "{style:?}: nobody knows her");
            tokens.user("ada", SECRET);
            assert_eq!(ask().await.0, "accepted", "{style:?}");
            assert!(!tokens.seen().iter().any(|seen| seen.path.contains("scope=")), "nothing is pulled");
            tokens.without_scope("ada");
            let (verdict, words) = ask().await;
            assert_eq!(verdict, "scope missing", "{style:?}: {words}");
            tokens.user("ada", SECRET).expire("ada");
            let (verdict, words) = ask().await;
            assert_eq!(verdict, "rejected", "{style:?}");
            assert!(words.contains("expired"), "{words}");
            tokens.rotate("ada", SECRET);
            assert_eq!(ask().await.0, "accepted", "{style:?}");
            tokens.revoke("ada");
            let (verdict, words) = ask().await;
            assert_eq!(verdict, "rejected", "{style:?}: {words}");

            tokens.rotate("ada", SECRET).fail_once(429, Some("120"));
            let begun = Instant::now();
            let limited = bench.store.verify(&host, &ada(), company()).await;
            let error = fails(limited, Code::RateLimited, "limits how often");
            assert_eq!(error.retry_after(), Some(Duration::from_secs(120)));
            assert!(begun.elapsed() < Duration::from_secs(60), "a rate limit is told at once");
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registries_that_answer_oddly() {
    let registry = Bad::start().await.unwrap();
    let host = registry.host();
    let bench = Bench::new(&[registry.host()]);
    // The version is open to all; the login is tried nevertheless.
    for (status, expected) in [(200, "accepted"), (401, "rejected"), (403, "scope missing")] {
        registry.script(move |seen| match seen.authorization() {
            None => Some(Reply::new(200, "{}")),
            Some(sent) => Some(Reply::new(if sent == BASIC { status } else { 500 }, "")),
        });
        assert_eq!(verdict(&bench, &host, &ada()).await.0, expected);
    }
    // A token is given, and good for nothing.
    let realm = format!("Bearer realm=\"http://{host}/token\"");
    for (reply, expected) in [
        (Reply::new(403, r#"{"errors":[{"code":"DENIED","message":"denied"}]}"#), "scope missing"),
        (Reply::challenge("Bearer realm=\"x\",error=\"insufficient_scope\""), "scope missing"),
        (Reply::challenge("Bearer realm=\"x\""), "rejected"),
    ] {
        let realm = realm.clone();
        registry.script(move |seen| match (seen.path.starts_with("/token"), seen.authorization()) {
            (true, _) => Some(Reply::new(200, r#"{"token":"t"}"#)),
            (false, None) => Some(Reply::challenge(&realm)),
            (false, Some(_)) => Some(reply.clone()),
        });
        assert_eq!(verdict(&bench, &host, &ada()).await.0, expected);
    }
    for (status, code) in [(404, Code::RegistryError), (500, Code::RegistryError)] {
        registry.script(move |_| Some(Reply::new(status, "")));
        fails(bench.store.verify(&host, &ada(), company()).await, code, "checking the login at");
    }
    registry.script(|_| Some(Reply::new(200, "{}").after(Duration::from_secs(600))));
    let hasty = Bench::with(&[registry.host()], |config| config.timeouts.header = Duration::from_secs(1));
    fails(hasty.store.verify(&host, &ada(), company()).await, Code::RegistryTimeout, "did not answer");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let nobody = Bench::new(std::slice::from_ref(&closed));
    fails(nobody.store.verify(&closed, &ada(), company()).await, Code::RegistryUnreachable, "refused");
    fails(bench.store.verify("not a host", &ada(), company()).await, Code::RegistryUnreachable, "");
}
