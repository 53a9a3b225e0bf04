//! Names, foreign layers and plain http: the rest of where a credential may travel.

use model::FailureCode as Code;
use model::image::Reference;
use testkit::image::Built;
use testkit::lab::Hosts;
use testkit::registry::{Bad, Fault, Reply, Seen};
use testkit::sink::Sink;
use testkit::tls::TestCa;

use crate::net::{FOREIGN, REGISTRY, at, image, lab, nobody_was_there, secrets, sinks, tls};
use crate::support::{BASIC, Bench, ada, company, fails, is_root};

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
