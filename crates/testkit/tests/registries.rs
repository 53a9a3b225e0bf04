//! The registries that other tests rely on, asked by a program that is none of ours.

use std::process::Command;
use std::time::Duration;

use testkit::image::{Built, Image, Layer, Tar};
use testkit::registry::Good;
use testkit::tls::TestCa;
use testkit::tokens::{Style, TokenServer};

const SKOPEO: &str = "/usr/bin/skopeo";

fn image() -> Built {
    Image::new().layer(Layer::gzip(Tar::new().file("hello", "x", 0o755))).build()
}

/// What skopeo says of an image, as a login or as nobody. `None`, said aloud, without skopeo.
#[expect(clippy::print_stdout, reason = "the test harness shows it")]
fn inspect(reference: &str, login: Option<(&str, &str)>, more: &[&str]) -> Option<Result<String, String>> {
    if !std::path::Path::new(SKOPEO).exists() {
        println!("not run: needs the package skopeo");
        return None;
    }
    let mut command = Command::new(SKOPEO);
    command.args(["inspect", "--raw"]).args(more);
    match login {
        Some((user, secret)) => command.arg("--creds").arg(format!("{user}:{secret}")),
        None => command.arg("--no-creds"),
    };
    let output = command.arg(format!("docker://{reference}")).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stderr)),
    })
}

#[test]
fn a_registry_with_htpasswd_is_for_its_user() {
    let registry = Good::with_htpasswd("ada", "a-password").unwrap();
    let image = image();
    assert!(image.push_blocking(&registry.host(), "team/app", "1").is_err());
    image.push_to_blocking(&registry.remote().login("ada", "a-password"), "team/app", "1").unwrap();
    let reference = format!("{}/team/app:1", registry.host());
    let plain = ["--tls-verify=false"];
    if let Some(answer) = inspect(&reference, Some(("ada", "a-password")), &plain) {
        assert_eq!(answer.unwrap().trim(), String::from_utf8_lossy(&image.document));
        assert!(inspect(&reference, Some(("ada", "wrong")), &plain).unwrap().is_err());
        assert!(inspect(&reference, None, &plain).unwrap().is_err());
    }
}

#[test]
fn a_registry_with_tokens_is_for_the_users_of_its_server() {
    let ca = TestCa::new().unwrap();
    for style in [Style::Hub, Style::Ghcr, Style::Gitlab, Style::Azure] {
        let tokens = TokenServer::start(style, &ca).unwrap();
        let registry = Good::with_tokens(&tokens, &ca).unwrap();
        tokens.user("ci", "push-secret").may_push("ci", "team/app").may_push("ci", "public");
        let (image, remote) = (image(), registry.remote().login("ci", "push-secret"));
        image.push_to_blocking(&remote, "team/app", "1").unwrap();
        image.push_to_blocking(&remote, "public", "1").unwrap();
        assert!(image.push_to_blocking(&remote, "other", "1").is_err());
        tokens.publish("public").user("bot", "first").may_pull("bot", "team/app");
        assert!(image.push_to_blocking(&registry.remote().login("bot", "first"), "team/app", "1").is_err());

        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(ca.path(), folder.path().join("ca.crt")).unwrap();
        let trusting = ["--cert-dir", folder.path().to_str().unwrap()];
        let private = format!("{}/team/app:1", registry.host());
        let ask = |login| inspect(&private, Some(("bot", login)), &trusting).map(|answer| answer.is_ok());
        if ask("first").is_none() {
            continue;
        }
        tokens.forget();
        assert_eq!(ask("first"), Some(true), "{style:?}");
        assert!(tokens.seen().iter().any(|seen| seen.authorization().is_some()));
        tokens.rotate("bot", "second");
        assert_eq!((ask("first"), ask("second")), (Some(false), Some(true)), "{style:?}");
        tokens.expire("bot");
        assert_eq!(ask("second"), Some(false), "{style:?}");
        tokens.rotate("bot", "third").revoke("bot");
        assert_eq!(ask("third"), Some(false), "{style:?}");
        tokens.rotate("bot", "fourth").lifetime(Duration::from_secs(60));
        assert_eq!(ask("fourth"), Some(true), "{style:?}");
        assert!(inspect(&private, None, &trusting).unwrap().is_err(), "{style:?}");
        let public = format!("{}/public:1", registry.host());
        inspect(&public, None, &trusting).unwrap().unwrap();
    }
}
