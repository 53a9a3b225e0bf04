//! No secret in the logs, not even at trace level and of the libraries beneath; and the authority that
//! `SSL_CERT_FILE` names is trusted. Both are about a whole process, so a second one pulls.

use std::process::Command;

use base64::Engine as _;
use image::{Config, ImageStore, Login, Progress, RoleCommand, Verdict};
use model::CompanyId;
use model::image::Reference;
use testkit::image::{Image, Layer, Tar};
use testkit::registry::Good;
use testkit::tls::TestCa;
use testkit::tokens::{Style, TokenServer};

const SECRET: &str = "canary-5d1f0c";

#[test]
#[expect(clippy::print_stdout, reason = "the test harness shows it")]
fn a_pull_and_a_check_log_no_secret() {
    if !rustix::process::geteuid().is_root() {
        println!("not run: needs root");
        return;
    }
    let ca = TestCa::new().unwrap();
    let tokens = TokenServer::start(Style::Hub, &ca).unwrap();
    let registry = Good::with_tokens(&tokens, &ca).unwrap();
    let image = Image::new().layer(Layer::gzip(Tar::new().file("hello", "x", 0o755))).build();
    tokens.user("ci", "push").may_push("ci", "app").user("ada", SECRET).may_pull("ada", "app");
    image.push_to_blocking(&registry.remote().login("ci", "push"), "app", "1").unwrap();

    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "the_process_that_pulls"])
        .env("SSL_CERT_FILE", ca.path())
        .env("TEST_REGISTRY", registry.host())
        .env("TEST_TOKENS", tokens.host())
        .output()
        .unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    assert!(text.contains("TRACE") && text.len() > 10_000, "nothing was logged: {text}");
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("ada:{SECRET}"));
    // Tokens of the test begin with their header, which is always the same.
    for secret in [SECRET, &pair, "eyJ"] {
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}

#[test]
#[ignore = "started by the test above, which says where the registry is"]
fn the_process_that_pulls() {
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false).init();
    let (host, tokens) = (std::env::var("TEST_REGISTRY").unwrap(), std::env::var("TEST_TOKENS").unwrap());
    let folder = tempfile::tempdir().unwrap();
    let unpack = RoleCommand { program: env!("CARGO_BIN_EXE_image-unpack").into(), args: Vec::new() };
    let mut config = Config::new(folder.path().join("images"), unpack);
    config.private_registries = vec![host.clone(), tokens];
    let store = ImageStore::open(config).unwrap();
    let (login, owner) = (Login::new("ada", SECRET), CompanyId::new());
    let reference = Reference::parse(&format!("{host}/app:1")).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        assert_eq!(store.verify(&host, &login, owner).await.unwrap(), Verdict::Accepted);
        let resolved = store.resolve(&reference, Some(&login), owner).await.unwrap();
        let progress = Progress::new();
        store.fetch(&resolved.manifest, &reference, Some(&login), owner, &progress).await.unwrap();
        let wrong = Login::new("ada", format!("{SECRET}-wrong"));
        tracing::info!("{:?}", store.resolve(&reference, Some(&wrong), owner).await.unwrap_err());
    });
}
