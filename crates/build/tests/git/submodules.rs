//! Repositories in repositories.

use std::fs;

use model::{BuildSettings, FailureCode, Revision};
use testkit::git::{GitServer, Repositories};
use testkit::tls::TestCa;

use crate::support::{Bench, is_root, names, open, token};

fn with_submodules() -> BuildSettings {
    BuildSettings { with_submodules: true, ..BuildSettings::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn submodules_come_when_asked_for_and_the_login_stays_with_its_server() {
    if !is_root() {
        return;
    }
    let repositories = Repositories::new().unwrap();
    let inner = repositories.make("acme/inner").unwrap();
    let inner_commit = inner.commit(&[("inner.txt", "inner")], "inner").unwrap();
    let lib = repositories.make("acme/lib").unwrap();
    lib.submodule("deep/inner", "../inner.git", &inner_commit).unwrap();
    let lib_commit = lib.commit_index("lib").unwrap();
    let foreign = repositories.make("foreign/x").unwrap();
    let foreign_commit = foreign.commit(&[("x.txt", "x")], "x").unwrap();
    let ca = TestCa::new().unwrap();
    let server = GitServer::with_tls(&repositories, &ca).unwrap();
    for name in ["acme/shop", "acme/lib", "acme/inner"] {
        server.protect(name, "bot", "secret");
    }
    let other = GitServer::with_tls(&repositories, &ca).unwrap();
    let shop = repositories.make("acme/shop").unwrap();
    shop.submodule("vendor/lib", "../lib.git", &lib_commit).unwrap();
    shop.submodule("x", &other.url("foreign/x"), &foreign_commit).unwrap();
    shop.commit_index("with submodules").unwrap();
    let bench = Bench::new(|config| {
        config.private_hosts = vec![server.host(), other.host()];
        config.authorities = Some(ca.path());
    });
    let remote = token(&server.url("acme/shop"), "bot", "secret");

    bench.checkout_with(&remote, &Revision::Default, &with_submodules()).await.unwrap();
    assert_eq!(bench.read("vendor/lib/deep/inner/inner.txt"), "inner");
    assert_eq!(bench.read("x/x.txt"), "x");
    for folder in ["", "vendor/lib", "vendor/lib/deep/inner", "x"] {
        assert!(!bench.files().join(folder).join(".git").exists(), "{folder}");
    }
    assert!(!other.seen().is_empty());
    assert!(other.seen().iter().all(|seen| seen.authorization().is_none()));

    // The foreign server wants a login: it does not get this one.
    other.protect("foreign/x", "bot", "secret");
    let bench = Bench::new(|config| {
        config.private_hosts = vec![server.host(), other.host()];
        config.authorities = Some(ca.path());
    });
    let error = bench.checkout_with(&remote, &Revision::Default, &with_submodules()).await.unwrap_err();
    assert_eq!(error.code(), FailureCode::GitUnauthorized, "{error}");
    assert!(error.to_string().contains("the submodule x, "), "{error}");
    assert!(other.seen().iter().all(|seen| seen.authorization().is_none()));

    // Not asked for, they are empty folders.
    bench.checkout(&remote, "").await.unwrap();
    assert_eq!(names(&bench.files().join("vendor/lib")), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submodule_cannot_run_anything_or_lead_out() {
    if !is_root() {
        return;
    }
    let repositories = Repositories::new().unwrap();
    let server = GitServer::start(&repositories).unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let witness = folder.path().join("witness");
    let commit = "0123456789012345678901234567890123456789";
    for (number, url) in [
        format!("ext::touch {}", witness.display()),
        format!("ext::touch% {}", witness.display()),
        "file:///etc".to_owned(),
        "/etc".to_owned(),
        "../../../../../etc".to_owned(),
        "git://127.0.0.1/x".to_owned(),
        "http://169.254.169.254/latest".to_owned(),
        "https://169.254.169.254/latest".to_owned(),
        "ssh://-oProxyCommand=id/x".to_owned(),
        "-u./payload".to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("acme/hostile{number}");
        let shop = repositories.make(&name).unwrap();
        shop.submodule("sub", &url, commit).unwrap();
        shop.commit_index("hostile").unwrap();
        let bench = Bench::plain(&[&server]);
        let remote = open(&server.url(&name));
        let error = bench.checkout_with(&remote, &Revision::Default, &with_submodules()).await.unwrap_err();
        let expected =
            [FailureCode::GitUrlInvalid, FailureCode::GitUnreachable, FailureCode::RepositoryInvalid];
        assert!(expected.contains(&error.code()), "{url}: {error}");
        assert!(!witness.exists(), "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submodule_of_itself_ends() {
    if !is_root() {
        return;
    }
    let repositories = Repositories::new().unwrap();
    let server = GitServer::start(&repositories).unwrap();
    // Each commit has the one before as its submodule.
    let shop = repositories.make("acme/shop").unwrap();
    let mut before = shop.commit(&[("a.txt", "a")], "first").unwrap();
    for _ in 0..8 {
        fs::remove_file(shop.work().join(".gitmodules")).ok();
        shop.submodule("sub", "../shop.git", &before).unwrap();
        before = shop.commit_index("next").unwrap();
    }
    let bench = Bench::plain(&[&server]);
    let remote = open(&server.url("acme/shop"));
    let error = bench.checkout_with(&remote, &Revision::Default, &with_submodules()).await.unwrap_err();
    assert_eq!(error.code(), FailureCode::RepositoryTooLarge, "{error}");
}
