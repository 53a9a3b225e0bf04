//! Files that a repository keeps with Git LFS.

use std::os::unix::fs::PermissionsExt as _;

use model::{BuildSettings, FailureCode, Revision};
use testkit::git::{GitServer, Repositories, Repository};
use testkit::sink::Sink;
use testkit::tls::TestCa;

use crate::support::{Bench, is_root, open, token};

fn with_lfs() -> BuildSettings {
    BuildSettings { with_lfs: true, ..BuildSettings::default() }
}

fn commit(shop: &Repository, pointer: &str) {
    shop.write_program("tool.bin", pointer.as_bytes()).unwrap();
    shop.link("link.bin", "tool.bin").unwrap();
    let files = [
        (".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n"),
        ("text", pointer),
        ("small.bin", "x"),
    ];
    shop.commit(&files, "with a file elsewhere").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_when_asked_for_and_the_login_goes_to_the_repositorys_server_alone() {
    if !is_root() {
        return;
    }
    let repositories = Repositories::new().unwrap();
    let ca = TestCa::new().unwrap();
    let server = GitServer::with_tls(&repositories, &ca).unwrap();
    let store = GitServer::with_tls(&repositories, &ca).unwrap();
    server.protect("acme/shop", "bot", "secret").keep_elsewhere(&format!("https://{}", store.host()));
    let content = b"what is large";
    let pointer = server.keep(content);
    store.keep(content);
    commit(&repositories.make("acme/shop").unwrap(), &pointer);
    let bench = || {
        Bench::new(|config| {
            config.private_hosts = vec![server.host(), store.host()];
            config.authorities = Some(ca.path());
        })
    };
    let remote = token(&server.url("acme/shop"), "bot", "secret");

    let fetched = bench();
    fetched.checkout_with(&remote, &Revision::Default, &with_lfs()).await.unwrap();
    assert_eq!(fetched.read("tool.bin").as_bytes(), content);
    assert_eq!(fetched.read("small.bin"), "x");
    assert_eq!(fetched.read("text"), pointer, "no attribute, no LFS");
    let mode = fetched.files().join("tool.bin").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
    assert!(fetched.files().join("link.bin").is_symlink());
    assert_eq!(store.seen().len(), 1);
    assert_eq!(store.seen()[0].authorization(), Some("ticket of the store"));

    let left = bench();
    left.checkout(&remote, "").await.unwrap();
    assert_eq!(left.read("tool.bin"), pointer);
    let error = bench()
        .checkout_with(&token(&server.url("acme/shop"), "bot", "no"), &Revision::Default, &with_lfs())
        .await;
    assert_eq!(error.unwrap_err().code(), FailureCode::GitUnauthorized);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_cannot_send_to_private_addresses_or_bring_other_bytes() {
    if !is_root() {
        return;
    }
    let repositories = Repositories::new().unwrap();
    let server = GitServer::start(&repositories).unwrap();
    let sink = Sink::start().await.unwrap();
    let shop = repositories.make("acme/shop").unwrap();
    let remote = open(&server.url("acme/shop"));
    let bench = Bench::plain(&[&server]);

    commit(&shop, &server.keep_wrongly(b"these", b"those"));
    let error = bench.checkout_with(&remote, &Revision::Default, &with_lfs()).await.unwrap_err();
    assert_eq!(error.code(), FailureCode::RepositoryInvalid, "{error}");
    assert!(error.to_string().contains("other bytes"), "{error}");

    server.keep(b"these");
    for start in
        [format!("http://{}", sink.host()), format!("https://{}", sink.host()), "file:///etc".to_owned()]
    {
        server.keep_elsewhere(&start);
        let error = bench.checkout_with(&remote, &Revision::Default, &with_lfs()).await.unwrap_err();
        assert_eq!(error.code(), FailureCode::GitUnreachable, "{start}: {error}");
    }
    assert!(sink.contacts().is_empty());

    let absent = GitServer::start(&repositories).unwrap().keep(b"nowhere");
    shop.write("tool.bin", absent.as_bytes()).unwrap();
    shop.commit(&[], "nowhere").unwrap();
    let error = bench.checkout_with(&remote, &Revision::Default, &with_lfs()).await.unwrap_err();
    assert_eq!(error.code(), FailureCode::RepositoryInvalid, "{error}");

    shop.write("tool.bin", absent.replace("size 7", "size 99999999999").as_bytes()).unwrap();
    shop.commit(&[], "too large").unwrap();
    let error = bench.checkout_with(&remote, &Revision::Default, &with_lfs()).await.unwrap_err();
    assert_eq!(error.code(), FailureCode::RepositoryTooLarge, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_are_followed_to_a_store_without_the_login_and_not_to_private_addresses() {
    if !is_root() {
        return;
    }
    let repositories = Repositories::new().unwrap();
    let server = GitServer::start(&repositories).unwrap();
    let store = GitServer::start(&repositories).unwrap();
    let sink = Sink::start().await.unwrap();
    let content = b"what a store has";
    let pointer = server.keep(content);
    store.keep(content);
    commit(&repositories.make("acme/shop").unwrap(), &pointer);
    let remote = open(&server.url("acme/shop"));
    let bench = Bench::plain(&[&server, &store]);

    server.send_downloads(&format!("http://{}", store.host()));
    bench.checkout_with(&remote, &Revision::Default, &with_lfs()).await.unwrap();
    assert_eq!(bench.read("tool.bin").as_bytes(), content);
    assert_eq!(store.seen().len(), 1);

    server.send_downloads(&format!("http://{}", server.host()));
    let bench = Bench::plain(&[&server]);
    let before = server.seen().len();
    let error = bench.checkout_with(&remote, &Revision::Default, &with_lfs()).await.unwrap_err();
    assert_eq!(error.code(), FailureCode::GitUnreachable, "{error}");
    assert!(error.to_string().contains("elsewhere"), "{error}");
    let downloads =
        server.seen().split_off(before).into_iter().filter(|seen| seen.path.contains("-objects/"));
    assert_eq!(downloads.count(), 4, "an end comes soon");

    for start in [format!("http://{}", sink.host()), format!("https://{}", sink.host()), "file://".to_owned()]
    {
        server.send_downloads(&start);
        let error = bench.checkout_with(&remote, &Revision::Default, &with_lfs()).await.unwrap_err();
        assert_eq!(error.code(), FailureCode::GitUnreachable, "{start}: {error}");
    }
    assert!(sink.contacts().is_empty());
}
