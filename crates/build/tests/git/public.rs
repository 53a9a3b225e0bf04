//! Repositories that everybody may read.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use model::git::Commit;
use model::{FailureCode, Revision};
use testkit::git::{GitServer, Repositories};

use crate::support::{Bench, is_root, names, open};

#[tokio::test(flavor = "multi_thread")]
async fn branches_tags_and_commits_lead_to_their_files() {
    if !is_root() {
        return;
    }
    let repositories = Repositories::new().unwrap();
    let shop = repositories.make("acme/shop").unwrap();
    let first = shop.commit(&[("a.txt", "first")], "The first one\n\nwith\x1b[31m more words").unwrap();
    shop.tag("light", None).unwrap();
    shop.tag("v1.0", Some("a tag with words")).unwrap();
    let second = shop.commit(&[("a.txt", "second"), ("sub/b.txt", "b")], "second").unwrap();
    shop.branch("feature/x").unwrap();
    let third = shop.commit(&[("a.txt", "third")], "third").unwrap();
    let server = GitServer::start(&repositories).unwrap();
    let remote = open(&server.url("acme/shop"));

    for (revision, id, branch, text) in [
        ("", &second, Some("main"), "second"),
        ("main", &second, Some("main"), "second"),
        ("feature/x", &third, Some("feature/x"), "third"),
        ("light", &first, Some("light"), "first"),
        ("v1.0", &first, Some("v1.0"), "first"),
        (&first, &first, None, "first"),
    ] {
        let bench = Bench::plain(&[&server]);
        let commit = bench.checkout(&remote, revision).await.unwrap();
        assert_eq!((&commit.id, commit.branch.as_deref()), (id, branch), "{revision}");
        assert_eq!(bench.read("a.txt"), text, "{revision}");
        assert!(!bench.files().join(".git").exists());
        if id == &first {
            let Commit { message, author, .. } = commit;
            assert_eq!((&*message, &*author), ("The first one\n\nwith[31m more words", "Ada Lovelace"));
        } else {
            assert_eq!(bench.read("sub/b.txt"), "b");
        }
        let found = bench.git.find(&remote, &revision_of(revision)).await.unwrap();
        assert_eq!((&found.id, found.branch.as_deref()), (id, branch), "{revision}");
    }
    let bench = Bench::plain(&[&server]);
    let branches = bench.git.look(&remote).await.unwrap();
    assert_eq!(branches.default.as_deref(), Some("main"));
    assert_eq!(branches.names, ["main", "feature/x"]);
}

fn revision_of(text: &str) -> Revision {
    if text.is_empty() { Revision::Default } else { Revision::parse(text).unwrap() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_on_no_server_and_a_name_that_is_nearly_right_are_told() {
    if !is_root() {
        return;
    }
    let repositories = Repositories::new().unwrap();
    let shop = repositories.make("acme/shop").unwrap();
    shop.commit(&[("a.txt", "first")], "first").unwrap();
    shop.branch("develop").unwrap();
    repositories.make("acme/empty").unwrap();
    let server = GitServer::start(&repositories).unwrap();
    let bench = Bench::plain(&[&server]);
    let remote = open(&server.url("acme/shop"));

    let error = bench.checkout(&remote, "devlop").await.unwrap_err();
    assert_eq!(error.code(), FailureCode::RevisionNotFound);
    assert_eq!(error.hint().as_deref(), Some("Did you mean \"develop\"?"), "{error}");
    let missing = "0123456789012345678901234567890123456789";
    let error = bench.checkout(&remote, missing).await.unwrap_err();
    assert_eq!(error.code(), FailureCode::RevisionNotFound, "{error}");
    assert!(error.to_string().contains(missing), "{error}");
    let error = bench.checkout(&open(&server.url("acme/empty")), "").await.unwrap_err();
    assert_eq!(error.code(), FailureCode::RevisionNotFound);
    assert!(error.to_string().ends_with("it has no commit yet"), "{error}");
    let error = bench.checkout(&open(&server.url("acme/other")), "").await.unwrap_err();
    assert_eq!(error.code(), FailureCode::RepositoryNotFound, "{error}");
    assert!(error.hint().unwrap().contains("private"), "{:?}", error.hint());
    let empty = bench.git.look(&open(&server.url("acme/empty"))).await.unwrap();
    assert!(empty.names.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_behind_the_tip_comes_from_a_server_that_gives_none_by_id() {
    if !is_root() {
        return;
    }
    let repositories = Repositories::new().unwrap();
    let shop = repositories.make("acme/shop").unwrap();
    let first = shop.commit(&[("a.txt", "first")], "first").unwrap();
    for number in 0..60 {
        shop.commit(&[("a.txt", &number.to_string())], "more").unwrap();
    }
    let server = GitServer::start(&repositories).unwrap();
    server.speak_old_protocol();
    for branch in [None, Some("main".to_owned())] {
        let bench = Bench::plain(&[&server]);
        let revision = Revision::Commit { id: first.clone(), branch };
        let remote = open(&server.url("acme/shop"));
        let commit = bench.checkout_with(&remote, &revision, &Default::default()).await.unwrap();
        assert_eq!(commit.id, first);
        assert_eq!(bench.read("a.txt"), "first");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_as_they_are_in_the_commit() {
    if !is_root() {
        return;
    }
    let repositories = Repositories::new().unwrap();
    let shop = repositories.make("acme/shop").unwrap();
    shop.write_program("run.sh", b"#!/bin/sh\n").unwrap();
    shop.link("out", "/etc").unwrap();
    shop.link("up", "../../../../etc/passwd").unwrap();
    shop.write("bytes", b"\x00\xff\r\n").unwrap();
    shop.write(".gitattributes", b"*.lfs filter=lfs\n*.odd filter=id\n*.crlf text eol=crlf\n").unwrap();
    shop.commit(
        &[("-rf", "dash"), ("a b\"c'\n$(id)", "odd"), ("ä", "ä"), ("x.odd", "odd"), (".git-keep", "")],
        "x",
    )
    .unwrap();
    let server = GitServer::start(&repositories).unwrap();
    let bench = Bench::plain(&[&server]);
    bench.checkout(&open(&server.url("acme/shop")), "").await.unwrap();

    let into = bench.files();
    assert_eq!(
        names(&into),
        [
            "-rf",
            ".git-keep",
            ".gitattributes",
            "a b\"c'\n$(id)",
            "bytes",
            "out",
            "run.sh",
            "up",
            "x.odd",
            "ä"
        ]
    );
    assert_eq!(fs::read(into.join("bytes")).unwrap(), b"\x00\xff\r\n");
    assert_eq!(bench.read("x.odd"), "odd");
    assert_eq!(fs::read_link(into.join("out")).unwrap(), Path::new("/etc"));
    assert_eq!(fs::read_link(into.join("up")).unwrap(), Path::new("../../../../etc/passwd"));
    let mode = |name: &str| fs::symlink_metadata(into.join(name)).unwrap();
    assert_eq!(mode("run.sh").permissions().mode() & 0o7777, 0o755);
    assert_eq!(mode("-rf").permissions().mode() & 0o7777, 0o644);
    assert_eq!((mode("-rf").uid(), mode("-rf").gid()), (0, 0));
}
