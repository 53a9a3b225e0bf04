//! Private repositories, by token over https and by deploy key over ssh: the whole story, and that no secret is to be
//! found afterwards.

use testkit::git::{GitServer, SshServer};
use testkit::tls::TestCa;

use crate::canary;
use crate::git_lab::{Lab, SHOP};
use crate::harness::{Installation, Setting, can_run, ok, rows};

const TOKEN: &str = "canary-git-Vb4Nq8Wd1Ry6";
const WRONG: &str = "canary-git-wrong-Ts9Kf2Lm5Xc3";

#[test]
fn a_private_repository_is_built_with_its_token_which_leaves_no_trace() {
    if !can_run() {
        return;
    }
    let lab = Lab::start();
    lab.shop("private");
    let ca = TestCa::new().unwrap();
    let private = GitServer::with_tls(&lab.repositories, &ca).unwrap();
    private.protect(SHOP, "bot", TOKEN);
    let darsena = Installation::start_with(Setting {
        private_git: vec![private.host()],
        authority: Some(ca.path()),
        log: "trace".to_owned(),
        ..lab.setting()
    });
    let (url, host) = (private.url(SHOP), private.host());

    let words = darsena.run_failing(&["deploy", "shop", "--git", &url]);
    assert!(words.contains("cause: git_unauthorized"), "{words}");

    // A wrong token is told by the first checkout; a login in the address is refused at once.
    let create = [
        "git-credentials",
        "create",
        "token",
        "--name",
        "team",
        "--host",
        &host,
        "--username",
        "bot",
        "--token-stdin",
    ];
    ok(&darsena.run_with_input(&create, &format!("{WRONG}\n")));
    let words = darsena.run_failing(&["deploy", "shop", "--git", &url, "--git-credential", "team"]);
    assert!(words.contains("cause: git_unauthorized"), "{words}");
    let with_login = url.replace("https://", "https://bot:canary-in-address@");
    let words = darsena.run_failing(&["deploy", "other", "--git", &with_login]);
    assert!(words.contains("store it as a Git credential") && !words.contains("canary"), "{words}");

    // The right one is used, and what was built says which commit it is.
    let update = ["git-credentials", "update", "team", "--token-stdin"];
    ok(&darsena.run_with_input(&update, &format!("{TOKEN}\n")));
    let told = darsena.run_ok(&["git", "inspect", &url, "--git-credential", "team"]);
    assert!(told.contains("found at Dockerfile") && told.contains("Say private (Ada Lovelace)"), "{told}");
    darsena.run_ok(&["deploy", "shop"]);
    assert!(darsena.get("shop.localhost", "/").1.contains("private"));
    let credential = darsena.json(&["git-credentials", "show", "team"]);
    assert!(credential["last_used_at"].is_string(), "{credential}");
    let deployment = rows(&darsena.json(&["deployments", "list", "shop"])).remove(0);
    assert_eq!(deployment["commit_message"], "Say private\n\nBecause of a test.");
    assert_eq!(deployment["author_login"], "Ada Lovelace");

    // In use it is not removed, unless one insists; what serves goes on.
    let words = darsena.run_failing(&["git-credentials", "delete", "team", "--yes"]);
    assert!(words.contains("shop"), "{words}");
    darsena.run_ok(&["git-credentials", "delete", "team", "--yes", "--force"]);
    assert_eq!(darsena.get("shop.localhost", "/").0, 200);
    assert!(darsena.run_failing(&["deploy", "shop"]).contains("cause: git_unauthorized"));

    // What is no secret is found, so the search can see.
    assert!(!canary::hits(&darsena, &[("message", "Because of a test.")]).is_empty());
    let hits = canary::hits(&darsena, &[("token", TOKEN), ("wrong token", WRONG)]);
    assert!(hits.is_empty(), "{hits:#?}");
}

#[test]
fn a_private_repository_is_built_with_its_deploy_key_from_the_server_it_knows() {
    if !can_run() {
        return;
    }
    let lab = Lab::start();
    lab.shop("by ssh");
    let ssh = SshServer::start(&lab.repositories).unwrap();
    let darsena = Installation::start_with(Setting {
        private_git: vec![ssh.host()],
        log: "trace".to_owned(),
        ..lab.setting()
    });
    let (url, host) = (ssh.url(SHOP), ssh.host());

    let made = darsena.run_ok(&["git-credentials", "create", "key", "--name", "deploy", "--host", &host]);
    let public_key = made.trim_end();
    assert!(public_key.starts_with("ssh-ed25519 ") && !public_key.contains('\n'), "{made}");
    let known = darsena.json(&["git-credentials", "show", "deploy"])["host_keys"].clone();
    assert!(known.as_array().unwrap().iter().any(|key| key["key"] == ssh.host_key().unwrap()), "{known}");

    // The server does not know the key yet, then it does.
    let words = darsena.run_failing(&["deploy", "shop", "--git", &url, "--git-credential", "deploy"]);
    assert!(words.contains("cause: git_unauthorized"), "{words}\n{}", ssh.log());
    ssh.allow(public_key).unwrap();
    darsena.run_ok(&["deploy", "shop"]);
    assert!(darsena.get("shop.localhost", "/").1.contains("by ssh"));

    // Another server in its place gets nothing, and what serves goes on.
    ssh.change_host_key().unwrap();
    let words = darsena.run_failing(&["deploy", "shop"]);
    assert!(words.contains("cause: git_host_key_changed") && words.contains("still serves"), "{words}");
    assert!(darsena.get("shop.localhost", "/").1.contains("by ssh"));

    assert!(!canary::hits(&darsena, &[("public key", public_key)]).is_empty(), "the search can see");
    // How each private key begins (PROTOCOL.key of OpenSSH), as text, and as base64 does.
    let hits =
        canary::hits(&darsena, &[("key", "OPENSSH PRIVATE KEY"), ("its bytes", "b3BlbnNzaC1rZXktdjE")]);
    assert!(hits.is_empty(), "{hits:#?}");
}
