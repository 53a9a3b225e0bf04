//! Calls that end before their time: dropped, out of time, or with their process killed.

use std::time::Duration;

use model::{BuildSettings, FailureCode, Revision};
use testkit::git::{GitServer, Repositories};

use crate::support::{Bench, capabilities_of, is_root, names, open, processes_with, roots_of, until};

fn stalling(path_end: &str) -> (Repositories, GitServer) {
    let repositories = Repositories::new().unwrap();
    repositories.make("acme/shop").unwrap().commit(&[("a.txt", "a")], "first").unwrap();
    let server = GitServer::start(&repositories).unwrap();
    server.stall("acme/shop", path_end);
    (repositories, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_checkout_leaves_no_process_and_no_file() {
    if !is_root() {
        return;
    }
    // The second question of the protocol is the fetch.
    for (runtime_word, path_end) in [("list", ""), ("fetch", "git-upload-pack")] {
        let (_repositories, server) = stalling(path_end);
        let bench = Bench::plain(&[&server]);
        let remote = open(&server.url("acme/shop"));
        let (git, into) = (bench.git.clone(), bench.files());
        let call = tokio::spawn(async move {
            git.checkout(&remote, &Revision::Default, &BuildSettings::default(), &into).await
        });
        std::fs::write(bench.files().join("../hidden"), "").unwrap();
        let mark = bench.mark();
        until(runtime_word, || {
            server.seen().iter().any(|seen| seen.path.split('?').next().unwrap().ends_with(path_end))
        })
        .await;
        let running = processes_with(&mark);
        assert!(running.iter().any(|process| process.contains("git-remote-http")), "{running:?}");
        assert!(capabilities_of("git-remote-http", &mark).iter().all(|of| of == "0000000000000000"));
        // The keeper is a process of ours and sees what we see.
        let roots = roots_of("git-remote-http", &mark);
        let closed: Vec<_> = roots.iter().filter(|root| !root.join("etc/shadow").exists()).collect();
        assert!(!closed.is_empty(), "{roots:?}");
        for root in closed {
            let within = |path: &std::path::Path| root.join(path.strip_prefix("/").unwrap());
            assert_eq!(
                names(root).iter().filter(|name| ["home", "root", "var"].contains(&&***name)).count(),
                0
            );
            assert!(!names(&within(bench.files().parent().unwrap())).contains(&"hidden".to_owned()));
            std::fs::write(root.join("usr/written"), "").unwrap_err();
            std::fs::write(root.join("written"), "").unwrap_err();
        }

        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        assert_eq!(processes_with(&mark), [""; 0], "{runtime_word}: the drop waits for the end");
        assert_eq!(names(&bench.files()), [""; 0]);
        bench.no_secret_is_left();
    }
}

#[tokio::test]
async fn a_runtime_of_one_thread_drops_as_well() {
    if !is_root() {
        return;
    }
    let (_repositories, server) = stalling("");
    let bench = Bench::plain(&[&server]);
    let remote = open(&server.url("acme/shop"));
    let call = bench.git.find(&remote, &Revision::Default);
    let asked = until("a question", || !server.seen().is_empty());
    tokio::select! {
        _ = call => panic!("nothing answers"),
        () = asked => {}
    }
    assert_eq!(processes_with(&bench.mark()), [""; 0]);
    bench.no_secret_is_left();
}

/// As the control plane ends in good order, with calls under way.
#[test]
fn a_runtime_that_ends_takes_its_calls_along() {
    if !is_root() {
        return;
    }
    let (_repositories, server) = stalling("");
    let bench = Bench::plain(&[&server]);
    let remote = open(&server.url("acme/shop"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (git, into) = (bench.git.clone(), bench.files());
    runtime.spawn(async move {
        git.checkout(&remote, &Revision::Default, &BuildSettings::default(), &into).await
    });
    runtime.block_on(until("a question", || !server.seen().is_empty()));
    drop(runtime);
    assert_eq!(processes_with(&bench.mark()), [""; 0]);
    assert_eq!(names(&bench.files()), [""; 0]);
    bench.no_secret_is_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_falls_silent_is_given_up() {
    if !is_root() {
        return;
    }
    let (_repositories, server) = stalling("");
    let bench = Bench::limited(&[&server], |limits| limits.time = Duration::from_secs(1));
    let error = bench.checkout(&open(&server.url("acme/shop")), "").await.unwrap_err();
    assert_eq!(error.code(), FailureCode::Timeout, "{error}");
    assert_eq!(processes_with(&bench.mark()), [""; 0]);
}

/// As the control plane is killed: nobody is there to end anything, but the kernel closes the lifeline.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_takes_its_programs_along() {
    if !is_root() {
        return;
    }
    let (_repositories, server) = stalling("");
    let folder = tempfile::TempDir::new().unwrap();
    let mark = folder.path().display().to_string();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_git-helper"))
        .args(["find", &mark, &server.url("acme/shop")])
        .spawn()
        .unwrap();
    until("a question", || !server.seen().is_empty()).await;
    assert!(processes_with(&mark).iter().any(|process| process.contains("git-remote-http")));
    child.kill().unwrap();
    child.wait().unwrap();
    until("the end of all", || processes_with(&mark).is_empty()).await;
    // Its folder is still there, and the next process empties it.
    assert_eq!(names(&folder.path().join("scratch")), ["0"]);
    let config =
        build::git::GitConfig::new(folder.path().join("scratch"), env!("CARGO_BIN_EXE_git-helper").into());
    build::git::Git::open(config).unwrap();
    assert_eq!(names(&folder.path().join("scratch")), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_server_is_told_as_it_is() {
    if !is_root() {
        return;
    }
    let (_repositories, server) = stalling("");
    let bench = Bench::plain(&[&server]);
    let remote = open(&server.url("acme/shop"));
    for (status, code, words) in [
        (500, FailureCode::GitUnreachable, "answered 500"),
        (429, FailureCode::RateLimited, "limits how often"),
        (403, FailureCode::GitUnauthorized, "does not let anybody without a login read it"),
        (404, FailureCode::RepositoryNotFound, "shows no repository acme/shop.git"),
    ] {
        server.fail("acme/shop", status);
        let error = bench.checkout(&remote, "").await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(words), "{status}: {error}");
    }
    // A port where nobody listens.
    let port = testkit::Port::reserve().unwrap();
    let nobody = Bench::new(|config| config.insecure_hosts = vec![port.address().to_string()]);
    let error = nobody.checkout(&open(&format!("http://{}/x", port.address())), "").await.unwrap_err();
    assert_eq!(error.code(), FailureCode::GitUnreachable, "{error}");
    assert!(error.to_string().contains("cannot be reached"), "{error}");
}
