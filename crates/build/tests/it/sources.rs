//! Checkouts: what is built, and what is refused.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use build::{Builder, Origin};
use model::{BuildSettings, FailureCode, Recipe};

use crate::support::{Bench, image_holds, is_root};

#[tokio::test]
async fn folder_context_and_dockerfile_can_be_chosen() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let mut order = bench.order(&[
        ("apps/web/docker/Web.Dockerfile", "FROM scratch\nCOPY text /text\nCOPY --chown=1:2 other /other\n"),
        ("apps/web/files/text", "text of the context"),
        ("apps/web/files/other", "other text"),
        ("text", "text of the repository"),
    ]);
    order.settings = BuildSettings {
        path: "apps/web".to_owned(),
        dockerfile: "docker/Web.Dockerfile".to_owned(),
        context: "files".to_owned(),
        ..BuildSettings::default()
    };
    let dockerfile = bench.workshop.dockerfile(&order.checkout, &order.settings).await.unwrap();
    assert_eq!(dockerfile.origin, Origin::Found("apps/web/docker/Web.Dockerfile".to_owned()));
    // Git may have been told to let nobody else read.
    fs::set_permissions(order.checkout.join("apps/web/files"), PermissionsExt::from_mode(0o700)).unwrap();
    fs::set_permissions(order.checkout.join("apps/web/files/text"), PermissionsExt::from_mode(0o600))
        .unwrap();
    let built = bench.build(&order).await.unwrap();
    assert!(image_holds(&built.layout, "text of the context"));
    assert!(!image_holds(&built.layout, "text of the repository"));
}

#[tokio::test]
async fn files_are_left_out_as_dockerignore_says() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let files = [
        ("Dockerfile", "FROM scratch\nCOPY . /\n"),
        (".dockerignore", "**/*.log\nprivate\n!private/shown\n"),
        ("a.log", "left out one"),
        ("deep/b.log", "left out two"),
        ("private/c", "left out three"),
        ("private/shown", "shown again"),
        ("kept", "kept text"),
    ];
    let built = bench.build(&bench.order(&files)).await.unwrap();
    for text in ["left out one", "left out two", "left out three"] {
        assert!(!image_holds(&built.layout, text), "{text}");
    }
    assert!(image_holds(&built.layout, "kept text") && image_holds(&built.layout, "shown again"));

    let own = [("Dockerfile.dockerignore", "kept\n")];
    let files: Vec<_> = files.iter().chain(&own).copied().collect();
    let built = bench.build(&bench.order(&files)).await.unwrap();
    assert!(image_holds(&built.layout, "left out one") && !image_holds(&built.layout, "kept text"));
}

#[tokio::test]
async fn a_dockerfile_is_made_or_given_where_there_is_none() {
    let bench = Bench::new();
    let mut order = bench.order(&[("index.html", "<p>hello</p>")]);
    let made = bench.workshop.dockerfile(&order.checkout, &order.settings).await.unwrap();
    assert_eq!(made.origin, Origin::Made("static site".to_owned()));

    order.settings.recipe = Recipe::Given("FROM scratch\nCOPY index.html /\n".to_owned());
    let given = bench.workshop.dockerfile(&order.checkout, &order.settings).await.unwrap();
    assert_eq!(given.origin, Origin::Given);
    if is_root() {
        assert!(image_holds(&bench.build(&order).await.unwrap().layout, "<p>hello</p>"));
    }

    let nothing = bench.order(&[("notes.txt", "nothing to build")]);
    let failure = bench.workshop.dockerfile(&nothing.checkout, &nothing.settings).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::DockerfileNotFound);
    assert!(failure.message.contains("go.mod"), "{}", failure.message);
    let named = BuildSettings { dockerfile: "Other".to_owned(), ..BuildSettings::default() };
    let failure = bench.workshop.dockerfile(&order.checkout, &named).await.unwrap_err();
    assert_eq!(failure.message, "The repository has no Other.");
}

#[tokio::test]
async fn what_leads_out_of_the_repository_is_refused() {
    let bench = Bench::new();
    let order = bench.order(&[("Dockerfile", "FROM scratch\n"), ("in/x", "x")]);
    symlink("/etc", order.checkout.join("etc")).unwrap();
    symlink("/etc/passwd", order.checkout.join("Linked")).unwrap();
    symlink("../..", order.checkout.join("in/up")).unwrap();
    symlink("loop", order.checkout.join("loop")).unwrap();
    let with = |change: fn(&mut BuildSettings)| {
        let mut settings = BuildSettings::default();
        change(&mut settings);
        settings
    };
    for (settings, part) in [
        (with(|settings| settings.path = "..".to_owned()), "leads out"),
        (with(|settings| settings.path = "/etc".to_owned()), "leads out"),
        (with(|settings| settings.path = "etc".to_owned()), "leads out"),
        (with(|settings| settings.path = "nothing".to_owned()), "is not in"),
        (with(|settings| settings.path = "Dockerfile".to_owned()), "no folder"),
        (with(|settings| settings.context = "in/up".to_owned()), "leads out"),
        (with(|settings| settings.context = "../..".to_owned()), "leads out"),
        (with(|settings| settings.dockerfile = "Linked".to_owned()), "leads out"),
        (with(|settings| settings.dockerfile = "../../etc/passwd".to_owned()), "leads out"),
        (with(|settings| settings.dockerfile = "loop".to_owned()), "leads nowhere"),
        (with(|settings| settings.dockerfile = "in".to_owned()), "is no file"),
    ] {
        let failure = bench.workshop.dockerfile(&order.checkout, &settings).await.unwrap_err();
        assert_eq!(failure.code, FailureCode::RepositoryInvalid, "{settings:?}");
        assert!(failure.message.contains(part), "{settings:?}: {}", failure.message);
    }
}
