//! Repositories that mean harm, and names that do.

use std::fs;
use std::time::Duration;

use build::git::GitError;
use model::{FailureCode, Revision};
use testkit::git::{GitServer, Repositories, Repository};

use crate::support::{Bench, is_root, open};

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_is_never_an_option() {
    if !is_root() {
        return;
    }
    let repositories = Repositories::new().unwrap();
    repositories.make("acme/shop").unwrap().commit(&[("a.txt", "a")], "first").unwrap();
    let server = GitServer::start(&repositories).unwrap();
    let bench = Bench::plain(&[&server]);
    let remote = open(&server.url("acme/shop"));
    let folder = tempfile::TempDir::new().unwrap();
    let witness = folder.path().join("witness");
    let program = format!("--upload-pack=touch {}", witness.display());
    let commit = |id: &str, branch: Option<&str>| Revision::Commit {
        id: id.to_owned(),
        branch: branch.map(str::to_owned),
    };
    for revision in [
        Revision::Named("--upload-pack=id".to_owned()),
        Revision::Named(program.clone()),
        Revision::Named("main:refs/heads/x".to_owned()),
        Revision::Named("../../x".to_owned()),
        commit("--output=/etc/passwd", None),
        commit("main", None),
        commit(&"0".repeat(40), Some(&program)),
    ] {
        let error = bench.checkout_with(&remote, &revision, &Default::default()).await.unwrap_err();
        assert_eq!(error.code(), FailureCode::RevisionNotFound, "{error}");
    }
    assert!(server.seen().is_empty());
    assert!(!witness.exists());
}

/// Commits a tree that git itself would not write.
fn commit_tree(shop: &Repository, entries: &[(&str, &str, Vec<u8>)]) -> String {
    let mut tree = Vec::new();
    for (mode, name, content) in entries {
        let kind = if mode.starts_with('4') { "tree" } else { "blob" };
        let id =
            shop.git_with(&["hash-object", "-w", "--stdin", "-t", kind, "--literally"], content).unwrap();
        tree.extend_from_slice(format!("{mode} {name}\0").as_bytes());
        tree.extend((0..20).map(|at| u8::from_str_radix(&id[2 * at..2 * at + 2], 16).unwrap()));
    }
    let tree = shop.git_with(&["hash-object", "-w", "--stdin", "-t", "tree", "--literally"], &tree).unwrap();
    let commit = shop.git(&["commit-tree", "-m", "hostile", &tree]).unwrap();
    shop.git(&["update-ref", "refs/heads/main", &commit]).unwrap();
    shop.git(&["push", "--quiet", "--force", "origin", "main"]).unwrap();
    commit
}

async fn refused(entries: &[(&str, &str, Vec<u8>)]) -> GitError {
    let repositories = Repositories::new().unwrap();
    let shop = repositories.make("acme/shop").unwrap();
    commit_tree(&shop, entries);
    let server = GitServer::start(&repositories).unwrap();
    let bench = Bench::plain(&[&server]);
    bench.checkout(&open(&server.url("acme/shop")), "").await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_cannot_write_beside_the_checkout_or_into_gits_own_folder() {
    if !is_root() {
        return;
    }
    let file = |text: &str| text.as_bytes().to_vec();
    let modules = "[submodule \"../../../x\"]\n\tpath = x\n\turl = https://example.com/x\n";
    for (what, entries) in [
        ("a parent", vec![("100644", "..", file("x"))]),
        ("git's folder", vec![("100644", ".git", file("x"))]),
        ("git's folder in other letters", vec![("100644", ".GIT", file("x"))]),
        ("a path as a name", vec![("100644", "../x", file("x"))]),
        ("a link for .gitmodules", vec![("120000", ".gitmodules", file("/etc/passwd"))]),
        ("a submodule's name that leads out", vec![("100644", ".gitmodules", file(modules))]),
        ("a link and a file of one name", vec![("120000", "a", file("/tmp")), ("100644", "a", file("x"))]),
    ] {
        let error = refused(&entries).await;
        assert_eq!(error.code(), FailureCode::RepositoryInvalid, "{what}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_below_a_link_is_not_followed() {
    if !is_root() {
        return;
    }
    let repositories = Repositories::new().unwrap();
    let shop = repositories.make("acme/shop").unwrap();
    let outside = tempfile::TempDir::new().unwrap();
    // In the tree, `a` is a link to a folder outside and a folder with a file, one after the other.
    let blob = shop.git_with(&["hash-object", "-w", "--stdin"], b"x").unwrap();
    let inner = shop.git_with(&["mktree"], format!("100644 blob {blob}\tx\n").as_bytes()).unwrap();
    let link = outside.path().display().to_string();
    let link = shop.git_with(&["hash-object", "-w", "--stdin"], link.as_bytes()).unwrap();
    let tree = format!("120000 blob {link}\ta\n040000 tree {inner}\tA\n");
    let tree = shop.git_with(&["mktree"], tree.as_bytes()).unwrap();
    let commit = shop.git(&["commit-tree", "-m", "hostile", &tree]).unwrap();
    shop.git(&["update-ref", "refs/heads/main", &commit]).unwrap();
    shop.git(&["push", "--quiet", "origin", "main"]).unwrap();
    let server = GitServer::start(&repositories).unwrap();
    let bench = Bench::plain(&[&server]);
    bench.checkout(&open(&server.url("acme/shop")), "").await.unwrap();
    assert_eq!(bench.read("A/x"), "x");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

/// Hooks of the machine's template folder, and settings of its user and system, are none of a checkout.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_machine_or_the_repository_is_run() {
    if !is_root() {
        return;
    }
    let repositories = Repositories::new().unwrap();
    let shop = repositories.make("acme/shop").unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let witness = folder.path().join("witness");
    let script = format!("#!/bin/sh\ntouch {}\n", witness.display());
    shop.write_program("hooks/post-checkout", script.as_bytes()).unwrap();
    shop.write_program(".githooks/post-checkout", script.as_bytes()).unwrap();
    let attributes = "* filter=evil diff=evil merge=evil\n*.txt working-tree-encoding=UTF-16\n";
    shop.commit(
        &[
            (".gitattributes", attributes),
            (".gitconfig", "[core]\n\thooksPath = .githooks\n[filter \"evil\"]\n\tsmudge = touch /tmp/x\n"),
            (".lfsconfig", "[lfs]\n\turl = http://169.254.169.254/\n"),
        ],
        "first",
    )
    .unwrap();
    let server = GitServer::start(&repositories).unwrap();
    let bench = Bench::plain(&[&server]);
    bench.checkout(&open(&server.url("acme/shop")), "").await.unwrap();
    assert!(bench.files().join(".githooks/post-checkout").exists());
    assert!(!witness.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_the_limits_is_refused_before_it_is_written() {
    if !is_root() {
        return;
    }
    let repositories = Repositories::new().unwrap();
    let shop = repositories.make("acme/shop").unwrap();
    for number in 0..30 {
        shop.write(&format!("{number}.txt"), b"x").unwrap();
    }
    shop.commit(&[("large.bin", &"x".repeat(300_000))], "first").unwrap();
    let server = GitServer::start(&repositories).unwrap();
    let remote = open(&server.url("acme/shop"));
    for (words, change) in [
        ("more than 20 files", (|limits| limits.files = 20) as fn(&mut build::git::Limits)),
        ("more than 0 MiB together", |limits| limits.total = 200_000),
        ("the file \"large.bin\" has", |limits| limits.file = 100_000),
    ] {
        let bench = Bench::limited(&[&server], change);
        let error = bench.checkout(&remote, "").await.unwrap_err();
        assert_eq!(error.code(), FailureCode::RepositoryTooLarge, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let bench = Bench::limited(&[&server], |limits| limits.reserve = u64::MAX >> 1);
    let error = bench.checkout(&remote, "").await.unwrap_err();
    assert_eq!(error.code(), FailureCode::DiskFull, "{error}");
}

/// What comes over the network is more than one file may have, or more than all may have together.
#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_is_too_large_is_stopped() {
    if !is_root() {
        return;
    }
    let repositories = Repositories::new().unwrap();
    let shop = repositories.make("acme/shop").unwrap();
    let mut noise = vec![0; 24 << 20];
    fs::File::open("/dev/urandom")
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut noise))
        .unwrap();
    shop.write("noise", &noise).unwrap();
    shop.commit(&[], "noise").unwrap();
    let server = GitServer::start(&repositories).unwrap();
    let remote = open(&server.url("acme/shop"));
    let bench = Bench::limited(&[&server], |limits| limits.file = 2 << 20);
    let error = bench.checkout(&remote, "").await.unwrap_err();
    assert_eq!(error.code(), FailureCode::RepositoryTooLarge, "{error}");
}

/// Ten megabytes on the way, ten gigabytes on the disk: nothing of it is written.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_ten_gigabytes_is_refused() {
    if !is_root() {
        return;
    }
    let repositories = Repositories::new().unwrap();
    let shop = repositories.make("acme/shop").unwrap();
    shop.commit_ten_gigabytes("zeros").unwrap();
    let server = GitServer::start(&repositories).unwrap();
    // Git counts its zeros for a minute, on a busy machine for several.
    let bench = Bench::limited(&[&server], |limits| limits.time = Duration::from_secs(1800));
    let error = bench.checkout(&open(&server.url("acme/shop")), "").await.unwrap_err();
    assert_eq!(error.code(), FailureCode::RepositoryTooLarge, "{error}");
    assert!(error.to_string().contains("\"zeros\" has 10240 MiB"), "{error}");
}
