//! A private image with the credential of its registry: the whole story, and that the token is nowhere to be found
//! afterwards.

use testkit::registry::Good;
use testkit::tls::TestCa;
use testkit::tokens::{Style, TokenServer};

use crate::canary;
use crate::harness::{Installation, Setting, can_run, ok, rows};
use crate::sources;

const IMAGE: &str = "team/app";
const FIRST: &str = "canary-first-Zq7Rk2Vw9Lx4";
const SECOND: &str = "canary-second-Hd3Tn8Yb6Mc1";
const WRONG: &str = "canary-wrong-Jp5Fg0Xs2Ke7";

/// A registry with token authentication over TLS, which holds a private image, and an installation that may ask it.
struct Bench {
    tokens: TokenServer,
    registry: Good,
    darsena: Installation,
    _ca: TestCa,
}

impl Bench {
    fn start(style: Style) -> Self {
        let ca = TestCa::new().unwrap();
        let tokens = TokenServer::start(style, &ca).unwrap();
        let registry = Good::with_tokens(&tokens, &ca).unwrap();
        tokens.user("ci", "push-secret").may_push("ci", IMAGE);
        tokens.user("bot", FIRST).may_pull("bot", IMAGE);
        let remote = registry.remote().login("ci", "push-secret");
        sources::hello(&[("HELLO_TEXT", "private")]).push_to_blocking(&remote, IMAGE, "1").unwrap();
        let darsena = Installation::start_with(Setting {
            private: vec![registry.host(), tokens.host()],
            authority: Some(ca.path()),
            log: "trace".to_owned(),
            ..Setting::default()
        });
        Self { tokens, registry, darsena, _ca: ca }
    }

    fn image(&self) -> String {
        format!("{}/{IMAGE}:1", self.registry.host())
    }

    /// Stores a credential under a name with a token from standard input. Gives exit code and words.
    fn create(&self, name: &str, token: &str) -> (Option<i32>, String) {
        let host = self.registry.host();
        let arguments = [
            "registries",
            "create",
            name,
            "--registry",
            "custom",
            "--host",
            &host,
            "--username",
            "bot",
            "--token-stdin",
        ];
        let output = self.darsena.run_with_input(&arguments, &format!("{token}\n"));
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn credential(&self, name: &str) -> serde_json::Value {
        self.darsena.json(&["registries", "show", name])
    }
}

#[test]
fn a_private_image_is_deployed_with_its_credential_and_the_token_leaves_no_trace() {
    if !can_run() {
        return;
    }
    let bench = Bench::start(Style::Gitlab);
    let (darsena, image, host) = (&bench.darsena, bench.image(), bench.registry.host());

    // Without a credential it is refused, and told what would help.
    let words = darsena.run_failing(&["deploy", "shop", "--image", &image]);
    assert!(words.contains(&format!("create a credential for {host}")), "{words}");

    // A wrong token is not saved, and the cause is told.
    let (code, words) = bench.create("team", WRONG);
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("refused"), "{words}");
    assert!(rows(&darsena.json(&["registries", "list"])).is_empty());

    // The right one is saved and valid. An application that did not choose it is told that it fits.
    assert_eq!(bench.create("team", FIRST).0, Some(0));
    assert_eq!(bench.credential("team")["status"], "valid");
    let words = darsena.run_failing(&["deploy", "shop", "--image", &image]);
    assert!(words.contains("choose the credential \"team\""), "{words}");

    // Chosen, it is used, and the deployment says so.
    darsena.run_ok(&["deploy", "shop", "--image", &image, "--credential", "team"]);
    assert!(darsena.get("shop.localhost", "/").1.contains("private"));
    let credential = bench.credential("team");
    assert!(credential["last_used_at"].is_string(), "{credential}");
    let deployments = darsena.json(&["deployments", "list", "shop"]);
    assert_eq!(rows(&deployments)[0]["docker_registry_credential_id"], credential["id"]);

    // The token is changed at the registry: the next deployment says so while the old release serves.
    bench.tokens.rotate("bot", SECOND);
    let words = darsena.run_failing(&["deploy", "shop"]);
    assert!(words.contains("credential_rejected"), "{words}");
    assert!(darsena.get("shop.localhost", "/").1.contains("private"));
    assert_eq!(bench.credential("team")["status"], "rejected");

    // Rolling back needs no registry, and says nothing about the credential.
    darsena.run_ok(&["deploy", "shop", "--no-wait"]);
    let update = ["registries", "update", "team", "--new-token", "--token-stdin"];
    ok(&darsena.run_with_input(&update, &format!("{SECOND}\n")));
    assert_eq!(bench.credential("team")["status"], "valid");
    darsena.run_ok(&["deploy", "shop"]);

    // In use it is not removed, unless one insists.
    let words = darsena.run_failing(&["registries", "delete", "team", "--yes"]);
    assert!(words.contains("shop"), "{words}");
    darsena.run_ok(&["registries", "delete", "team", "--yes", "--force"]);
    assert!(darsena.json(&["apps", "show", "shop"])["docker_registry_credential_id"].is_null());
    assert_eq!(darsena.get("shop.localhost", "/").0, 200, "what serves goes on");

    // A crash leaves no core file, in which the memory of these processes would lie.
    for pid in [darsena.serve_pid(), darsena.ingress_pid()] {
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    }
    // What is no secret is found, so the search can see.
    assert!(!canary::hits(darsena, &[("image", IMAGE)]).is_empty());
    let secrets = [
        ("first token", FIRST),
        ("second token", SECOND),
        ("wrong token", WRONG),
        ("API key", &darsena.token),
    ];
    let hits = canary::hits(darsena, &secrets);
    // The CLI keeps its key in the home folder that the test gave it, and nowhere else.
    let hits: Vec<_> =
        hits.into_iter().filter(|hit| !hit.contains("/.config/darsena/cli.json: API key")).collect();
    assert!(hits.is_empty(), "{hits:#?}");
}

#[test]
fn the_key_is_changed_and_credentials_go_on() {
    if !can_run() {
        return;
    }
    let mut bench = Bench::start(Style::Hub);
    assert_eq!(bench.create("team", FIRST).0, Some(0));
    let image = bench.image();
    bench.darsena.run_ok(&["deploy", "shop", "--image", &image, "--credential", "team"]);

    let data = bench.darsena.data().to_str().unwrap().to_owned();
    let key = std::fs::read(bench.darsena.data().join("key")).unwrap();
    let words = bench.darsena.run_failing(&["rotate-key", "--data", &data]);
    assert!(words.contains("another `darsena serve` works on"), "{words}");

    bench.darsena.end_serve(nix::sys::signal::Signal::SIGTERM);
    bench.darsena.run_ok(&["rotate-key", "--data", &data]);
    assert_ne!(std::fs::read(bench.darsena.data().join("key")).unwrap(), key);
    bench.darsena.serve();
    bench.darsena.run_ok(&["deploy", "shop"]);
    bench.darsena.run_ok(&["registries", "verify", "team"]);
}
