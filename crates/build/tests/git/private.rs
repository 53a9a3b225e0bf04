//! Repositories that want a login, and what becomes of the login.

use build::Secret;
use build::git::{Access, Remote};
use model::{FailureCode, GitUrl};
use testkit::git::{GitServer, Repositories, SshServer};
use testkit::tls::{Flaw, TestCa};

use crate::support::{Bench, is_root, open, token};

fn repositories() -> Repositories {
    let repositories = Repositories::new().unwrap();
    repositories.make("acme/shop").unwrap().commit(&[("a.txt", "private")], "first").unwrap();
    repositories
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_a_repository_over_https() {
    if !is_root() {
        return;
    }
    let repositories = repositories();
    let ca = TestCa::new().unwrap();
    let server = GitServer::with_tls(&repositories, &ca).unwrap();
    server.protect("acme/shop", "b@t'x", "to'k\"en $x");
    let bench = Bench::secure(&server, &ca.path());
    let url = server.url("acme/shop");

    let error = bench.checkout(&open(&url), "").await.unwrap_err();
    assert_eq!(error.code(), FailureCode::GitUnauthorized, "{error}");
    assert!(error.hint().unwrap().contains("credential"), "{:?}", error.hint());
    let error = bench.checkout(&token(&url, "bot", "the-wrong-token"), "").await.unwrap_err();
    assert_eq!(error.code(), FailureCode::GitUnauthorized, "{error}");
    assert!(error.to_string().contains("refused the token of bot"), "{error}");
    assert!(!format!("{error} {error:?}").contains("the-wrong-token"));
    let hidden = server.hide("acme/shop", "b@t'x", "to'k\"en $x");
    let error =
        bench.checkout(&token(&hidden.url("acme/shop"), "bot", "the-wrong-token"), "").await.unwrap_err();
    assert_eq!(error.code(), FailureCode::RepositoryNotFound, "{error}");
    assert!(error.to_string().contains("to this login"), "{error}");
    bench.checkout(&token(&url, "b@t'x", "to'k\"en $x"), "main").await.unwrap();
    assert_eq!(bench.read("a.txt"), "private");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_for_https_alone_and_a_server_is_known_by_its_certificate() {
    if !is_root() {
        return;
    }
    let repositories = repositories();
    let plain = GitServer::start(&repositories).unwrap();
    plain.protect("acme/shop", "bot", "secret");
    let bench = Bench::plain(&[&plain]);
    let error = bench.checkout(&token(&plain.url("acme/shop"), "bot", "secret"), "").await.unwrap_err();
    assert_eq!(error.code(), FailureCode::GitCredentialMismatch, "{error}");
    assert!(plain.seen().is_empty());

    let ca = TestCa::new().unwrap();
    for (flaw, names) in
        [(Flaw::SelfSigned, ["127.0.0.1"]), (Flaw::Expired, ["127.0.0.1"]), (Flaw::None, ["git.example.com"])]
    {
        let certificate = ca.flawed(&names, flaw).unwrap();
        let server = GitServer::with_certificate(&repositories, certificate).unwrap();
        let bench = Bench::secure(&server, &ca.path());
        let error = bench.checkout(&token(&server.url("acme/shop"), "bot", "secret"), "").await.unwrap_err();
        assert_eq!(error.code(), FailureCode::GitUnreachable, "{flaw:?}: {error}");
        assert!(error.to_string().contains("the secure connection"), "{flaw:?}: {error}");
        assert!(server.seen().is_empty(), "{flaw:?}");
    }
    // Nor is an authority trusted that nobody named.
    let server = GitServer::with_tls(&repositories, &ca).unwrap();
    let bench = Bench::new(|config| config.private_hosts = vec![server.host()]);
    let error = bench.checkout(&open(&server.url("acme/shop")), "").await.unwrap_err();
    assert!(error.to_string().contains("the secure connection"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_key_opens_a_repository_over_ssh() {
    if !is_root() {
        return;
    }
    let repositories = repositories();
    let server = SshServer::start(&repositories).unwrap();
    let bench = Bench::ssh(&server);
    let url = GitUrl::parse(&server.url("acme/shop")).unwrap();
    let key = bench.git.make_key("shop of acme").await.unwrap();
    assert!(key.public_key.starts_with("ssh-ed25519 AAAA") && key.public_key.ends_with(" shop of acme"));
    let host_keys = bench.git.host_keys(url.host()).await.unwrap();
    assert_eq!(host_keys, [server.host_key().unwrap()]);
    let with = |private_key: &Secret, host_keys: &[String]| Remote {
        url: url.clone(),
        access: Access::Key { private_key: private_key.clone(), host_keys: host_keys.to_vec() },
    };
    let remote = with(&key.private_key, &host_keys);

    let error = bench.checkout(&open(&server.url("acme/shop")), "").await.unwrap_err();
    assert_eq!(error.code(), FailureCode::GitUnauthorized, "{error}");
    let error = bench.checkout(&remote, "").await.unwrap_err();
    assert_eq!(error.code(), FailureCode::GitUnauthorized, "{error}\n{}", server.log());
    assert!(error.to_string().ends_with("refused the deploy key"), "{error}");

    server.allow(&key.public_key).unwrap();
    let missing = Remote { url: GitUrl::parse(&server.url("acme/none")).unwrap(), ..remote.clone() };
    let error = bench.checkout(&missing, "").await.unwrap_err();
    assert_eq!(error.code(), FailureCode::RepositoryNotFound, "{error}");

    for host_keys in [
        vec![],
        vec!["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl".to_owned()],
    ] {
        let error = bench.checkout(&with(&key.private_key, &host_keys), "").await.unwrap_err();
        assert_eq!(error.code(), FailureCode::GitHostKeyChanged, "{error}");
    }
    let commit =
        bench.checkout(&remote, "main").await.unwrap_or_else(|error| panic!("{error}\n{}", server.log()));
    assert_eq!(commit.message, "first");
    assert_eq!(bench.read("a.txt"), "private");

    server.change_host_key().unwrap();
    let bench = Bench::ssh(&server);
    let error = bench.checkout(&remote, "").await.unwrap_err();
    assert_eq!(error.code(), FailureCode::GitHostKeyChanged, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn private_addresses_are_for_whom_the_administrator_named() {
    if !is_root() {
        return;
    }
    let repositories = repositories();
    let plain = GitServer::start(&repositories).unwrap();
    let ca = TestCa::new().unwrap();
    let secure = GitServer::with_tls(&repositories, &ca).unwrap();
    let bench = Bench::new(|_| {});
    for (url, words) in [
        (plain.url("acme/shop"), "--insecure-git"),
        (secure.url("acme/shop"), "--private-git"),
        (secure.url("acme/shop").replace("127.0.0.1", "localhost"), "--private-git"),
    ] {
        let error = bench.checkout(&open(&url), "").await.unwrap_err();
        assert_eq!(error.code(), FailureCode::GitUnreachable, "{error}");
        assert!(error.hint().unwrap().contains(words), "{:?}", error.hint());
    }
    let error = bench.git.host_keys("127.0.0.1:22").await.unwrap_err();
    assert_eq!(error.code(), FailureCode::GitUnreachable, "{error}");
    assert!(plain.seen().is_empty() && secure.seen().is_empty());
}
