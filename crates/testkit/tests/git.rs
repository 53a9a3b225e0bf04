//! The Git servers of the tests, as git itself sees them.

use std::fs;
use std::path::Path;
use std::process::Command;

use testkit::git::{GitServer, Repositories, SshServer};
use testkit::tls::TestCa;

/// Clones with nothing of the user's settings and these.
fn clone(url: &str, into: &Path, settings: &[&str], environment: &[(&str, &str)]) -> Result<(), String> {
    let mut command = Command::new("/usr/bin/git");
    for setting in settings {
        command.args(["-c", setting]);
    }
    let output = command
        .args(["clone", "--quiet", "--", url])
        .arg(into)
        .env_clear()
        .envs([("PATH", "/usr/bin:/bin"), ("HOME", "/nonexistent"), ("GIT_TERMINAL_PROMPT", "0")])
        .envs(environment.iter().copied())
        .output()
        .expect("git");
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[test]
fn repositories_are_cloned_over_http_and_https() {
    let repositories = Repositories::new().unwrap();
    let shop = repositories.make("acme/shop").unwrap();
    shop.commit(&[("a/b.txt", "hello"), ("-rf", "odd")], "first").unwrap();
    let folder = tempfile::TempDir::new().unwrap();

    let open = GitServer::start(&repositories).unwrap();
    clone(&open.url("acme/shop"), &folder.path().join("open"), &[], &[]).unwrap();
    assert_eq!(fs::read(folder.path().join("open/a/b.txt")).unwrap(), b"hello");
    assert_eq!(fs::read(folder.path().join("open/-rf")).unwrap(), b"odd");
    let missing = clone(&open.url("acme/other"), &folder.path().join("none"), &[], &[]).unwrap_err();
    assert!(missing.contains("not found"), "{missing}");

    let ca = TestCa::new().unwrap();
    let private = GitServer::with_tls(&repositories, &ca).unwrap();
    private.protect("acme/shop", "bot", "secret");
    let trust = format!("http.sslCAInfo={}", ca.path().display());
    let refused = clone(&private.url("acme/shop"), &folder.path().join("no"), &[&trust], &[]).unwrap_err();
    assert!(refused.contains("could not read Username"), "{refused}");
    let url = private.url("acme/shop").replace("https://", "https://bot:secret@");
    clone(&url, &folder.path().join("private"), &[&trust], &[]).unwrap();
    assert!(private.seen().iter().any(|seen| seen.authorization().is_some()));
}

#[test]
#[expect(clippy::print_stdout, reason = "the test harness shows it")]
fn repositories_are_cloned_over_ssh() {
    if !nix::unistd::geteuid().is_root() {
        println!("not run: needs root");
        return;
    }
    let repositories = Repositories::new().unwrap();
    repositories.make("acme/shop").unwrap().commit(&[("a.txt", "hello")], "first").unwrap();
    let server = SshServer::start(&repositories).unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let key = folder.path().join("key");
    let made =
        Command::new("/usr/bin/ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    assert!(made.unwrap().success());
    let known = folder.path().join("known");
    fs::write(
        &known,
        format!("[127.0.0.1]:{} {}\n", server.host().split_once(':').unwrap().1, server.host_key().unwrap()),
    )
    .unwrap();
    let ssh = format!(
        "ssh -F none -o BatchMode=yes -o IdentityFile={} -o UserKnownHostsFile={}",
        key.display(),
        known.display()
    );
    let environment = [("GIT_SSH_COMMAND", ssh.as_str())];
    let refused = clone(&server.url("acme/shop"), &folder.path().join("no"), &[], &environment).unwrap_err();
    assert!(refused.contains("Permission denied"), "{refused}\n{}", server.log());
    server.allow(fs::read_to_string(folder.path().join("key.pub")).unwrap().trim()).unwrap();
    let cloned = clone(&server.url("acme/shop"), &folder.path().join("yes"), &[], &environment);
    cloned.unwrap_or_else(|error| panic!("{error}\n{}", server.log()));
    assert_eq!(fs::read(folder.path().join("yes/a.txt")).unwrap(), b"hello");
}
