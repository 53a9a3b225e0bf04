//! Base images from a private registry, and secrets of builds: who gets them, and that they are nowhere to be found.

use testkit::git::{GitServer, Repositories, Repository};
use testkit::registry::Good;

use crate::build_ends::is_sleeping;
use crate::canary;
use crate::harness::{Installation, Setting, after_a_build, can_run, eventually, ok};
use crate::sources;

const PASSWORD: &str = "canary-password-Wk4Rt9Zx2Lm7";
const SECRET: &str = "canary-build-secret-Qp8Vn3Yc6Hd1";
/// What the login is called for.
const NAME: &str = "team/base";

#[test]
fn a_private_base_is_pulled_with_the_companys_login_and_no_secret_leaves_a_trace() {
    if !can_run() {
        return;
    }
    let registry = Good::with_htpasswd("bot", PASSWORD).unwrap();
    let remote = registry.remote().login("bot", PASSWORD);
    sources::busybox(|files| files).push_to_blocking(&remote, NAME, "1").unwrap();
    let repositories = Repositories::new().unwrap();
    let repository = repositories.make("acme/site").unwrap();
    let server = GitServer::start(&repositories).unwrap();
    let darsena = Installation::start_with(Setting {
        insecure: vec![registry.host()],
        insecure_git: vec![server.host()],
        log: "trace".to_owned(),
        ..Setting::default()
    });
    let base = format!("{}/{NAME}:1", registry.host());

    // Without a login the build says which image of which line, why, and what would help.
    commit(&repository, &base, "true");
    let deploy = ["deploy", "site", "--git", &server.url("acme/site")];
    let words = darsena.run_failing(&deploy);
    assert!(words.contains(&format!("FROM {base}, line 2")), "{words}");
    assert!(words.contains(&format!("create a credential for {}", registry.host())), "{words}");

    // The company's only login for that host is taken without a word, and its use is seen.
    let host = registry.host();
    let create = ["registries", "create", "team", "--registry", "custom", "--host", &host];
    let login = ["--username", "bot", "--token-stdin"];
    ok(&darsena.run_with_input(&[&create[..], &login].concat(), &format!("{PASSWORD}\n")));
    ok(&darsena.run_with_input(&["env", "site", "set", "--stdin", "--build"], &format!("TOKEN={SECRET}\n")));
    darsena.run_ok(&["deploy", "site"]);
    assert_eq!(darsena.get("site.localhost", "/length").1, format!("{}\n", SECRET.len()));
    let credential = darsena.json(&["registries", "show", "team"]);
    assert!(credential["last_used_at"].is_string(), "{credential}");

    // Neither while a step runs that has the secret, nor afterwards.
    commit(&repository, &base, "sleep 765432");
    let printed = darsena.run_ok(&["deploy", "site", "--no-wait"]);
    after_a_build("the build runs", || is_sleeping(&darsena));
    let secrets = [("password", PASSWORD), ("secret of the build", SECRET)];
    let during = canary::hits(&darsena, &secrets);
    darsena.run_ok(&["deployments", "cancel", "site", printed.lines().next().unwrap()]);
    eventually("the build ends", || !is_sleeping(&darsena));
    assert!(during.is_empty(), "{during:#?}");
    assert!(!canary::hits(&darsena, &[("name of the base image", NAME)]).is_empty(), "the search can see");
    let afterwards = canary::hits(&darsena, &secrets);
    assert!(afterwards.is_empty(), "{afterwards:#?}");

    // What the ended build left in its volume disturbs no other.
    commit(&repository, &base, "echo on");
    darsena.run_ok(&["deploy", "site"]);
    assert_eq!(darsena.get("site.localhost", "/length").1, format!("{}\n", SECRET.len()));
}

/// A site that tells how long the secret was that its build had.
fn commit(repository: &Repository, base: &str, then: &str) {
    let dockerfile = format!(
        "# A secret and a base image\n\
         FROM {base}\n\
         RUN --mount=type=secret,id=TOKEN mkdir /site && busybox wc -c < /run/secrets/TOKEN > /site/length && {then}\n\
         STOPSIGNAL SIGKILL\n\
         CMD [\"busybox\", \"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/site\"]\n"
    );
    repository.commit(&[("Dockerfile", &*dockerfile)], then).unwrap();
}
