//! Where a credential may travel, in a network of the test's own with public addresses. Every server records the
//! headers it gets, and a sink records any contact at all.

use std::net::SocketAddr;

use model::FailureCode as Code;
use model::image::Reference;
use testkit::image::{Built, Image, Layer, Tar};
use testkit::lab::{Hosts, Lab};
use testkit::registry::{Bad, Fault, Good, Reply, Seen};
use testkit::sink::Sink;
use testkit::tls::TestCa;
use testkit::tokens::{Style, TokenServer};

use crate::support::{BASIC, Bench, ada, company, fails, is_root};

const REGISTRY: &str = "11.0.0.1:443";
const AUTH: &str = "11.0.0.2:443";
const STORAGE: &str = "11.0.0.3:443";
const FOREIGN: &str = "11.0.0.4:443";

fn image() -> Built {
    Image::new().layer(Layer::gzip(Tar::new().file("hello", "x", 0o755))).build()
}

/// The names that the tests use, and a test authority that is trusted.
fn lab(ca: &TestCa) -> Lab {
    Lab::new()
        .name("registry.example.org", "11.0.0.1")
        .name("auth.example.org", "11.0.0.2")
        .name("cdn.registry.example.org", "11.0.0.3")
        .name("storage.example.com", "11.0.0.3")
        .name("auth.example.net", "11.0.0.4")
        .name("inside.example.org", "10.0.0.1")
        .name("moving.example.org", "11.0.0.5")
        .address("169.254.169.254")
        .trust(ca.path())
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

async fn tls(ca: &TestCa, name: &str, address: &str) -> Bad {
    let certificate = ca.certificate(&[name]).unwrap();
    let server = Bad::start_tls(name, at(address), &certificate).await.unwrap();
    server.serve("app", &image(), Fault::None);
    server
}

/// What must never be contacted, on every address and port that the tests lead to.
async fn sinks() -> Vec<Sink> {
    let mut sinks = Vec::new();
    for address in ["127.0.0.1", "169.254.169.254", "10.0.0.1"] {
        for port in [80, 443] {
            sinks.push(Sink::start_at(at(&format!("{address}:{port}"))).await.unwrap());
        }
    }
    sinks.push(Sink::start_at(at("[::1]:443")).await.unwrap());
    sinks
}

#[track_caller]
fn nobody_was_there(sinks: &[Sink], context: &str) {
    for sink in sinks {
        assert!(sink.contacts().is_empty(), "{context} led to {}", sink.host());
    }
}

fn secrets(seen: &[Seen]) -> Vec<&Seen> {
    seen.iter().filter(|seen| seen.authorization().is_some()).collect()
}

/// Lets in who has a token of `realm`.
fn token_gate(server: &Bad, realm: &str) {
    let challenge = format!("Bearer realm=\"{realm}\",service=\"s\"");
    server.script(move |seen| {
        let is_in = seen.authorization() == Some("Bearer good");
        (!is_in).then(|| Reply::challenge(&challenge))
    });
}

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
            let bench = Bench::new(&[]);
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

#[test]
fn g35_urls_of_a_layer_are_not_followed() {
    if !is_root() {
        return;
    }
    let ca = TestCa::new().unwrap();
    lab(&ca).run(async move |_| {
        let registry = tls(&ca, "registry.example.org", REGISTRY).await;
        let foreign = Sink::start_at(at(FOREIGN)).await.unwrap();
        let mut built = image();
        let mut manifest: serde_json::Value = serde_json::from_slice(&built.document).unwrap();
        manifest["layers"][0]["urls"] = serde_json::json!(["https://auth.example.net/layer"]);
        built = Built::new(&built.media_type, manifest.to_string().into_bytes(), built.blobs, built.platform);
        registry.serve("here", &built, Fault::None);
        registry.serve("elsewhere", &built, Fault::NoBlobs);
        let bench = Bench::new(&[]);
        let name = |repository: &str| format!("registry.example.org/{repository}:1");
        fails(
            bench.pull_as(&name("elsewhere"), Some(&ada()), company()).await,
            Code::LayerMissing,
            "missing",
        );
        bench.pull_as(&name("here"), Some(&ada()), company()).await.unwrap();
        assert!(foreign.contacts().is_empty());
    });
}

#[test]
fn g36_a_registry_that_knows_no_head_is_no_matter() {
    if !is_root() {
        return;
    }
    let ca = TestCa::new().unwrap();
    lab(&ca).run(async move |_| {
        let registry = tls(&ca, "registry.example.org", REGISTRY).await;
        registry.script(|seen| (seen.method != "GET").then(|| Reply::new(405, "")));
        Bench::new(&[]).pull("registry.example.org/app:1").await.unwrap();
        assert!(registry.seen().iter().all(|seen| seen.method == "GET"));
    });
}

#[test]
fn r19_r20_r22_names_that_lead_inside_or_look_alike() {
    if !is_root() {
        return;
    }
    let ca = TestCa::new().unwrap();
    let lab = lab(&ca).name("both.example.org", "10.0.0.1").name("both.example.org", "11.0.0.1");
    lab.run(async move |hosts: Hosts| {
        let sinks = sinks().await;
        let bench = Bench::new(&[]);
        for name in ["127.0.0.1", "localhost:443", "169.254.169.254", "10.0.0.1", "inside.example.org"] {
            for login in [Some(&ada()), None] {
                let result = bench.pull_as(&format!("{name}/app:1"), login, company()).await;
                fails(result, Code::RegistryUnreachable, "private address");
            }
            let verdict = bench.store.verify(name, &ada(), company()).await;
            fails(verdict, Code::RegistryUnreachable, "private address");
        }
        for name in ["127.1", "0x7f.1", "2130706433", "[::1]", "[::ffff:169.254.169.254]", "ghcr.io@evil.tld"]
        {
            assert!(Reference::parse(&format!("{name}/app:1")).is_err(), "{name}");
            assert!(bench.store.verify(name, &ada(), company()).await.is_err(), "{name}");
        }
        for name in
            ["\u{ff47}hcr.io", "ghcr\u{3002}io", "gh\u{441}r.io", "ghcr.io\r\n", "ghcr.io?x", "a%2e%2e"]
        {
            assert!(bench.store.verify(name, &ada(), company()).await.is_err(), "{name}");
        }
        nobody_was_there(&sinks, "a name");

        // A name with both kinds of addresses is asked at the public one; one that moves in is not followed.
        let certificate = ca.certificate(&["both.example.org", "moving.example.org"]).unwrap();
        let server = Bad::start_tls("both.example.org", at(REGISTRY), &certificate).await.unwrap();
        server.serve("app", &image(), Fault::None);
        bench.pull_as("both.example.org/app:1", Some(&ada()), company()).await.unwrap();
        hosts.move_to("moving.example.org", "11.0.0.1").unwrap();
        bench.pull("moving.example.org/app:1").await.unwrap();
        hosts.move_to("moving.example.org", "10.0.0.1").unwrap();
        // Another store: an open connection goes on leading where it did.
        let result = Bench::new(&[]).resolve_as_ada("moving.example.org/app:1").await;
        fails(result, Code::RegistryUnreachable, "private address");
        nobody_was_there(&sinks, "a name that moved");
    });
}

/// Over plain http a login goes to this machine, and nowhere else.
#[test]
fn a_login_in_plain_stays_on_this_machine() {
    if !is_root() {
        return;
    }
    let ca = TestCa::new().unwrap();
    lab(&ca).run(async move |hosts: Hosts| {
        let outside = Bad::start_at(at("10.0.0.1:5000")).await.unwrap();
        let here = Bad::start_at(at("127.0.0.1:5000")).await.unwrap();
        for server in [&outside, &here] {
            server.serve("app", &image(), Fault::None);
            server.script(gate_plain);
        }
        hosts.move_to("moving.example.org", "127.0.0.1").unwrap();
        let named = ["10.0.0.1:5000", "127.0.0.1:5000", "inside.example.org:5000", "moving.example.org:5000"];
        let bench = Bench::new(&named.map(str::to_owned));
        for host in ["10.0.0.1:5000", "inside.example.org:5000"] {
            let words = "over plain http and is not on this machine";
            let result = bench.resolve_as_ada(&format!("{host}/app:1")).await;
            let error = fails(result, Code::CredentialHostMismatch, words);
            assert!(error.hint().unwrap().contains("--private-registry"), "{:?}", error.hint());
            let verdict = bench.store.verify(host, &ada(), company()).await;
            fails(verdict, Code::CredentialHostMismatch, words);
        }
        assert!(outside.seen().is_empty());
        fails(bench.pull("10.0.0.1:5000/app:1").await, Code::RegistryUnauthorized, "");
        for host in ["127.0.0.1:5000", "moving.example.org:5000"] {
            bench.pull_as(&format!("{host}/app:1"), Some(&ada()), company()).await.unwrap();
        }
        hosts.move_to("moving.example.org", "10.0.0.1").unwrap();
        let fresh = Bench::new(&named.map(str::to_owned));
        let result = fresh.resolve_as_ada("moving.example.org:5000/app:1").await;
        fails(result, Code::CredentialHostMismatch, "over plain http");
        assert!(secrets(&outside.seen()).is_empty());
    });
}

fn gate_plain(seen: &Seen) -> Option<Reply> {
    (seen.authorization() != Some(BASIC)).then(|| Reply::challenge("Basic realm=\"r\""))
}
