//! What goes along a redirect, and where none leads (rows G32 to G34).

use model::FailureCode as Code;
use testkit::registry::{Fault, Reply, Seen};
use testkit::sink::Sink;
use testkit::tls::TestCa;

use crate::net::{FOREIGN, REGISTRY, STORAGE, at, image, lab, nobody_was_there, secrets, sinks, tls};
use crate::support::{BASIC, Bench, ada, company, fails, is_root};

/// Blobs and manifests, with a login and with a token for it.
#[test]
fn g32_a_redirect_to_elsewhere_takes_no_login_along() {
    if !is_root() {
        return;
    }
    let ca = TestCa::new().unwrap();
    lab(&ca).run(async move |_| {
        let registry = tls(&ca, "registry.example.org", REGISTRY).await;
        let sub = tls(&ca, "cdn.registry.example.org", STORAGE).await;
        let port = tls(&ca, "registry.example.org", "11.0.0.1:8443").await;
        let foreign = tls(&ca, "auth.example.net", FOREIGN).await;
        for (to, server) in [
            ("https://cdn.registry.example.org", &sub),
            ("https://registry.example.org:8443", &port),
            ("https://auth.example.net", &foreign),
        ] {
            for is_token in [true, false] {
                registry.script(move |seen| gate(seen, is_token, to));
                server.forget();
                let bench = Bench::new(&[]);
                bench.pull_as("registry.example.org/app:1", Some(&ada()), company()).await.unwrap();
                assert_eq!(server.seen().len(), 3, "{to}: manifest, configuration, layer");
                assert!(secrets(&server.seen()).is_empty(), "{to}");
                assert!(server.seen().iter().all(|seen| !seen.headers.contains_key("referer")));
            }
        }
    });
}

/// Wants a login or a token for it, and then sends everybody elsewhere.
fn gate(seen: &Seen, is_token: bool, to: &str) -> Option<Reply> {
    if seen.path.starts_with("/token") {
        return Some(Reply::new(200, r#"{"token":"good"}"#));
    }
    let wanted = if is_token { "Bearer good" } else { BASIC };
    if seen.authorization() != Some(wanted) {
        let bearer = "Bearer realm=\"https://registry.example.org/token\"";
        return Some(Reply::challenge(if is_token { bearer } else { "Basic realm=\"r\"" }));
    }
    Some(Reply::redirect(&format!("{to}{}", seen.path)))
}

#[test]
fn g32_a_redirect_back_home_does_not_get_the_login_again() {
    if !is_root() {
        return;
    }
    let ca = TestCa::new().unwrap();
    lab(&ca).run(async move |_| {
        let registry = tls(&ca, "registry.example.org", REGISTRY).await;
        let foreign = tls(&ca, "auth.example.net", FOREIGN).await;
        registry.script(|seen| match (seen.path.starts_with("/v2/app"), seen.authorization()) {
            (true, None) => Some(Reply::challenge("Basic realm=\"r\"")),
            (true, Some(_)) => Some(Reply::redirect("https://auth.example.net/away")),
            (false, _) => Some(Reply::new(200, "{}")),
        });
        foreign.script(|_| Some(Reply::redirect("https://registry.example.org/chosen/by/another")));
        let bench = Bench::new(&[]);
        bench.resolve_as_ada("registry.example.org/app:1").await.unwrap_err();
        let seen = registry.seen();
        let chosen: Vec<_> = seen.iter().filter(|seen| seen.path.starts_with("/chosen")).collect();
        assert_eq!(chosen.len(), 1);
        assert!(secrets(&foreign.seen()).is_empty() && chosen[0].authorization().is_none());
    });
}

#[test]
fn g32_g33_redirects_that_are_not_followed() {
    if !is_root() {
        return;
    }
    let ca = TestCa::new().unwrap();
    lab(&ca).run(async move |_| {
        let registry = tls(&ca, "registry.example.org", REGISTRY).await;
        let sinks = sinks().await;
        let mut all = sinks;
        all.push(Sink::start_at(at("11.0.0.1:80")).await.unwrap());
        all.push(Sink::start_at(at(FOREIGN)).await.unwrap());
        for to in [
            "http://registry.example.org/x",
            "http://169.254.169.254/latest/meta-data",
            "https://169.254.169.254/",
            "https://localhost/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://inside.example.org/",
            "https://10.0.0.1/",
            "https://ada:x@auth.example.net/",
            "file:///etc/passwd",
            "ftp://auth.example.net/x",
            "/v2/app/again",
            "",
        ] {
            registry.script(move |seen| {
                gate(seen, false, "").map(|reply| match seen.authorization() {
                    Some(_) => Reply::redirect(to),
                    None => reply,
                })
            });
            registry.forget();
            // What the administrator named is no way in from outside.
            let bench = Bench::with(&[], |config| config.private_registries = vec!["10.0.0.1".to_owned()]);
            let error = bench.resolve_as_ada("registry.example.org/app:1").await.unwrap_err();
            let refused = [Code::RegistryError, Code::RegistryUnreachable];
            assert!(refused.contains(&error.code()), "{to}: {error}");
            nobody_was_there(&all, to);
            assert!(registry.seen().len() <= 7, "a loop ends");
        }
        // A relative one stays at home, and keeps the login.
        registry.script(|seen| match (seen.authorization(), &*seen.path) {
            (None, _) => Some(Reply::challenge("Basic realm=\"r\"")),
            (_, "/v2/app/manifests/1") => Some(Reply::redirect("../../moved/manifests/1")),
            _ => None,
        });
        registry.serve("moved", &image(), Fault::None);
        Bench::new(&[]).resolve_as_ada("registry.example.org/app:1").await.unwrap();
    });
}

#[test]
fn g34_who_a_redirect_leads_to_gets_no_answer_to_a_challenge() {
    if !is_root() {
        return;
    }
    let ca = TestCa::new().unwrap();
    lab(&ca).run(async move |_| {
        let registry = tls(&ca, "registry.example.org", REGISTRY).await;
        let storage = tls(&ca, "storage.example.com", STORAGE).await;
        registry.script(|seen| gate(seen, true, "https://storage.example.com"));
        for challenge in ["Basic realm=\"x\"", "Bearer realm=\"https://storage.example.com/token\""] {
            storage.forget();
            storage.script(move |_| Some(Reply::challenge(challenge)));
            let result = Bench::new(&[]).resolve_as_ada("registry.example.org/app:1").await;
            fails(result, Code::RegistryError, "leads to storage.example.com, which answered 401");
            assert_eq!(storage.seen().len(), 1);
            assert!(secrets(&storage.seen()).is_empty());
        }
    });
}
