//! Servers that send whoever asks somewhere else.

use model::FailureCode;
use testkit::git::{GitServer, Repositories};
use testkit::sink::Sink;
use testkit::tls::TestCa;

use crate::support::{Bench, is_root, token};

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_followed_to_another_server() {
    if !is_root() {
        return;
    }
    let repositories = Repositories::new().unwrap();
    repositories.make("acme/shop").unwrap().commit(&[("a.txt", "a")], "first").unwrap();
    let ca = TestCa::new().unwrap();
    let server = GitServer::with_tls(&repositories, &ca).unwrap();
    let sink = Sink::start().await.unwrap();
    let bench = Bench::new(|config| {
        config.private_hosts = vec![server.host(), sink.host()];
        config.insecure_hosts = vec![sink.host()];
        config.authorities = Some(ca.path());
    });
    for to in [format!("http://{}/x.git", sink.host()), format!("https://{}/x.git", sink.host())] {
        server.redirect("acme/shop", &to);
        let error = bench.checkout(&token(&server.url("acme/shop"), "bot", "secret"), "").await.unwrap_err();
        assert_eq!(error.code(), FailureCode::GitUnreachable, "{error}");
        assert!(error.to_string().contains(&to), "{error}");
    }
    // Where it leads to is no address of a repository, and is not shown.
    server.redirect("acme/shop", "ext::id");
    let error = bench.checkout(&token(&server.url("acme/shop"), "bot", "secret"), "").await.unwrap_err();
    assert!(error.to_string().ends_with("elsewhere"), "{error}");
    assert!(sink.contacts().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_address_on_the_same_server_is_followed_once() {
    if !is_root() {
        return;
    }
    let repositories = Repositories::new().unwrap();
    repositories.make("acme/shop").unwrap().commit(&[("a.txt", "a")], "first").unwrap();
    let ca = TestCa::new().unwrap();
    let server = GitServer::with_tls(&repositories, &ca).unwrap();
    server.redirect("acme/old", &server.url("acme/shop")).protect("acme/shop", "bot", "secret");
    let bench = Bench::secure(&server, &ca.path());
    bench.checkout(&token(&server.url("acme/old"), "bot", "secret"), "").await.unwrap();
    assert_eq!(bench.read("a.txt"), "a");

    server.redirect("acme/a", &server.url("acme/b")).redirect("acme/b", &server.url("acme/a"));
    let error = bench.git.look(&token(&server.url("acme/a"), "bot", "secret")).await.unwrap_err();
    assert_eq!(error.code(), FailureCode::GitUnreachable, "{error}");
}
