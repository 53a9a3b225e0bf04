//! Which realm gets a login (rows G23 to G26). Every server records the headers it gets, and a sink records any
//! contact at all.

use model::FailureCode as Code;
use model::image::Reference;
use testkit::registry::{Good, Reply};
use testkit::sink::Sink;
use testkit::tls::TestCa;
use testkit::tokens::{Style, TokenServer};

use crate::net::{
    AUTH, FOREIGN, REGISTRY, at, image, lab, nobody_was_there, secrets, sinks, tls, token_gate,
};
use crate::support::{BASIC, Bench, ada, company, fails, is_root};

#[test]
fn g26_a_realm_of_the_same_registrable_domain_gets_the_login_and_the_registry_does_not() {
    if !is_root() {
        return;
    }
    let ca = TestCa::new().unwrap();
    lab(&ca).run(async move |_| {
        let registry = tls(&ca, "registry.example.org", REGISTRY).await;
        let auth = tls(&ca, "auth.example.org", AUTH).await;
        token_gate(&registry, "https://auth.example.org/token");
        auth.script(|_| Some(Reply::new(200, r#"{"token":"good"}"#)));
        let bench = Bench::new(&[]);
        bench.pull_as("registry.example.org/app:1", Some(&ada()), company()).await.unwrap();
        assert_eq!(auth.seen().len(), 1);
        assert_eq!(auth.seen()[0].authorization(), Some(BASIC));
        assert!(secrets(&registry.seen()).iter().all(|seen| seen.authorization() == Some("Bearer good")));
    });
}

/// Debian's registry and a token server as Docker Hub has them: another name, and names that nobody had to allow.
#[test]
fn g26_a_private_image_comes_from_a_real_registry() {
    if !is_root() {
        return;
    }
    let ca = TestCa::new().unwrap();
    lab(&ca).run(async move |_| {
        let tokens = TokenServer::start_at(Style::Hub, &ca, "auth.example.org", at(AUTH)).unwrap();
        let registry = Good::with_tokens_at(&tokens, &ca, "registry.example.org", at(REGISTRY)).unwrap();
        tokens.user("ci", "push").may_push("ci", "team/app").user("ada", "hunter2-canary");
        image().push_to(&registry.remote().login("ci", "push"), "team/app", "1").await.unwrap();
        let bench = Bench::new(&[]);
        let name = "registry.example.org/team/app:1";
        fails(bench.resolve_as_ada(name).await, Code::ImageAccessDenied, "for ada");
        fails(bench.pull(name).await, Code::RegistryUnauthorized, "without a login");
        tokens.may_pull("ada", "team/app");
        let fresh = Bench::new(&[]);
        fresh.pull_as(name, Some(&ada()), company()).await.unwrap();
        fails(
            fresh
                .store
                .resolve(
                    &Reference::parse("registry.example.org/team/app:2").unwrap(),
                    Some(&ada()),
                    company(),
                )
                .await,
            Code::TagNotFound,
            "no tag \"2\"",
        );
        tokens.rotate("ada", "another");
        let later = Bench::new(&[]);
        fails(
            later.resolve_as_ada(name).await,
            Code::CredentialRejected,
            "saved credential of ada was refused",
        );
    });
}

#[test]
fn g24_a_realm_of_another_domain_gets_no_login() {
    if !is_root() {
        return;
    }
    let ca = TestCa::new().unwrap();
    lab(&ca).run(async move |_| {
        let registry = tls(&ca, "registry.example.org", REGISTRY).await;
        let foreign = Sink::start_at(at(FOREIGN)).await.unwrap();
        token_gate(&registry, "https://auth.example.net/token");
        let bench = Bench::new(&[]);
        let error = fails(
            bench.resolve_as_ada("registry.example.org/app:1").await,
            Code::CredentialHostMismatch,
            "registry.example.org",
        );
        assert!(error.to_string().contains("auth.example.net"), "{error}");
        assert!(foreign.contacts().is_empty() && secrets(&registry.seen()).is_empty());
        let verdict = bench.store.verify("registry.example.org", &ada(), company()).await;
        fails(verdict, Code::CredentialHostMismatch, "auth.example.net");
        assert!(foreign.contacts().is_empty());
    });
}

#[test]
fn g23_a_realm_leads_nowhere_inside() {
    if !is_root() {
        return;
    }
    let ca = TestCa::new().unwrap();
    lab(&ca).run(async move |_| {
        let registry = tls(&ca, "registry.example.org", REGISTRY).await;
        let sinks = sinks().await;
        // A registry that the administrator named is no way in either.
        let bench = Bench::with(&["10.0.0.1:80".to_owned()], |config| {
            config.private_registries = vec!["10.0.0.1".to_owned()];
        });
        for realm in [
            "http://auth.example.org/token",
            "http://127.0.0.1/token",
            "https://127.0.0.1/token",
            "http://169.254.169.254/latest/meta-data",
            "https://169.254.169.254/",
            "https://[::1]/token",
            "https://[::ffff:127.0.0.1]/token",
            "https://0.0.0.0/token",
            "http://10.0.0.1/token",
            "https://10.0.0.1/token",
            "https://2130706433/token",
            "https://0x7f.1/token",
            "https://127\u{3002}0\u{3002}0\u{3002}1/token",
            "https://localhost/token",
            "https://inside.example.org/token",
            "ftp://auth.example.org/token",
            "file:///etc/passwd",
            "gopher://127.0.0.1/",
            "https://ada:x@auth.example.org/token",
            "token",
        ] {
            // A header holds ASCII; a full stop of another script comes percent-encoded.
            token_gate(&registry, &realm.replace('\u{3002}', "%E3%80%82"));
            for login in [Some(&ada()), None] {
                let result = bench.pull_as("registry.example.org/app:1", login, company()).await;
                let code = result.as_ref().unwrap_err().code();
                let refused = [Code::RegistryError, Code::RegistryUnreachable, Code::CredentialHostMismatch];
                assert!(refused.contains(&code), "{realm}: {:?}", result.unwrap_err());
            }
            nobody_was_there(&sinks, realm);
        }
        assert!(secrets(&registry.seen()).is_empty());
    });
}

#[test]
fn g25_a_token_server_leads_nowhere_else() {
    if !is_root() {
        return;
    }
    let ca = TestCa::new().unwrap();
    lab(&ca).run(async move |_| {
        let registry = tls(&ca, "registry.example.org", REGISTRY).await;
        let auth = tls(&ca, "auth.example.org", AUTH).await;
        let foreign = tls(&ca, "auth.example.net", FOREIGN).await;
        let sinks = sinks().await;
        token_gate(&registry, "https://auth.example.org/token");
        let bench = Bench::new(&[]);
        for to in [
            "http://169.254.169.254/latest/meta-data",
            "https://127.0.0.1/token",
            "https://localhost/token",
            "https://inside.example.org/token",
            "https://auth.example.net/token",
            "http://auth.example.org/token",
            "https://auth.example.org:8443/token",
        ] {
            auth.script(move |_| Some(Reply::redirect(to)));
            let result = bench.resolve_as_ada("registry.example.org/app:1").await;
            fails(result, Code::RegistryError, "redirects");
            nobody_was_there(&sinks, to);
            assert!(foreign.seen().is_empty(), "{to}");
        }
    });
}
