//! Applications that are built from a repository: what the commands send, and how a build is told.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::deployment;
use super::harness::{Request, Server, User, application, ok, page, sent};

const URL: &str = "https://git.example.com/acme/shop.git";
const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

/// The application `web`, built from a repository.
fn built(url: &str) -> Value {
    let mut web = application(url);
    for (field, value) in [
        ("source", json!("publicGit")),
        ("repo_url", json!(URL)),
        ("docker_image", Value::Null),
        ("build_path", json!("")),
        ("build_cache_enabled", json!(true)),
        ("dockerfile_path", json!("Dockerfile")),
        ("docker_context", json!(".")),
        ("serving_commit", json!({"sha": SHA, "branch": "main", "message": "Add the menu", "author": "Ada"})),
    ] {
        web[field] = value;
    }
    web
}

fn of_commit(status: &str, progress: Value, failure: Value) -> Value {
    let mut deployment = deployment(status, failure);
    for (field, value) in [
        ("repo_url", json!(URL)),
        ("branch", json!("main")),
        ("commit_sha", json!(SHA)),
        ("commit_message", json!("Add the menu\n\nAt last.")),
        ("author_login", json!("Ada")),
        ("progress", progress),
    ] {
        deployment[field] = value;
    }
    deployment
}

fn step(number: u32, text: &str, state: &str, from: u32, to: Option<u32>) -> Value {
    let at = |second: u32| format!("2026-01-01T00:00:{second:02}Z");
    json!({"number": number, "of": 2, "stage": "build", "text": text, "state": state, "started_at": at(from),
           "finished_at": to.map(at)})
}

/// Lines of a deployment's log by the second of their minute.
fn log(lines: &[(i64, &str)]) -> Value {
    let midnight = 1_767_225_600_000_000;
    let entry = |(at, text): &(i64, &str)| {
        json!({"id": text, "message": text, "service": "APP_DEPLOYMENT", "severity": "INFO", "timestamp": "t",
               "tags": {}, "attributes": {}, "unix_timestamp": midnight + at * 1_000_000})
    };
    Value::Array(lines.iter().map(entry).collect())
}

/// A server with the application `web` when it `exists`; its deployment goes through `course`, one look after another.
fn platform(exists: bool, site: String, course: Vec<Value>, lines: Value) -> Server {
    let asked = AtomicUsize::new(0);
    Server::start(move |request: &Request| {
        let (path, _) = request.line.split_once('?').unwrap_or((&request.line, ""));
        match path {
            "GET /v3/applications" if !exists => page(&[]),
            "GET /v3/applications" => page(&[built(&site)]),
            "GET /v3/resources/clusters" => {
                ok(json!([{"id": "cl", "name": "local", "display_name": null, "location": "here"}]))
            }
            "GET /v3/git-credentials" => page(&[super::git_credentials::token("team")]),
            "POST /v3/applications" => (201, "", built(&site).to_string()),
            "GET /v3/applications/app-id" | "PATCH /v3/applications/app-id" => ok(built(&site)),
            "GET /v3/applications/app-id/env-vars" => page(&[]),
            "POST /v3/applications/app-id/env-vars" => ok(json!({
                "id": "v", "app_id": "app-id", "key": "K", "value": "v", "is_runtime": true, "is_buildtime": true,
                "created_at": "t", "updated_at": "t"})),
            "GET /v3/applications/app-id/processes" => page(&[]),
            "POST /v3/applications/app-id/deployments" => ok(deployment("waiting", Value::Null)),
            "GET /v3/applications/app-id/deployments" => page(&course),
            "GET /v3/applications/app-id/deployments/dep-id/logs" => ok(lines.clone()),
            "GET /v3/applications/app-id/deployments/dep-id" => {
                let look = asked.fetch_add(1, Ordering::SeqCst).min(course.len() - 1);
                ok(course[look].clone())
            }
            _ => (404, "", json!({"message": format!("not here: {path}"), "status": 404}).to_string()),
        }
    })
}

fn success() -> Vec<Value> {
    vec![of_commit("success", Value::Null, Value::Null)]
}

#[test]
fn a_build_is_told_with_its_commit_its_steps_and_its_lines() {
    let site = Server::start(|_| (200, "", String::new()));
    let first = step(1, "FROM a", "cached", 1, Some(2));
    let course = vec![
        deployment("inProgress", Value::Null),
        of_commit("inProgress", json!({"step": "building", "build_steps": [first.clone()]}), Value::Null),
        of_commit(
            "inProgress",
            json!({"step": "creating", "build_steps": [first, step(2, "RUN make", "done", 2, Some(6))]}),
            Value::Null,
        ),
        of_commit("success", Value::Null, Value::Null),
    ];
    let lines = log(&[
        (0, "Fetching main"),
        (1, "Step 1 of 2 [build] FROM a"),
        (1, "Taken from the cache"),
        (2, "Step 2 of 2 [build] RUN make"),
        (3, "c\u{1b}[2Jc -o shop"),
        (6, "Step 2 took 4.0 s"),
        (7, "Built"),
    ]);
    let server = platform(false, site.url(), course, lines);
    let arguments = ["deploy", "web", "--git", URL, "--branch", "main", "--build-env", "VERSION=1"];
    let ended = User::of(&server).run(&arguments);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let told: Vec<_> = ended.stdout.lines().collect();
    let begin = told.iter().position(|line| line.starts_with("commit")).expect("it tells the commit");
    assert_eq!(
        &told[begin..],
        [
            "commit 0123456789ab on main  Add the menu (Ada)",
            "building",
            "  Step 1 of 2 [build] FROM a",
            "  Taken from the cache",
            "  Step 2 of 2 [build] RUN make",
            "  cc -o shop",
            "  Step 2 took 4.0 s",
            // What the log told before the first step and after the last one is told otherwise.
            "creating",
            "deployed",
            &site.url(),
        ]
    );
    assert_eq!(
        sent(&server, "POST /v3/applications"),
        json!({"display_name": "web", "cluster_id": "cl", "source": "publicGit", "repo_url": URL,
               "default_branch": "main"})
    );
    assert_eq!(sent(&server, "POST /v3/applications/app-id/deployments"), json!({}));
    assert_eq!(
        sent(&server, "POST /v3/applications/app-id/env-vars"),
        json!({"key": "VERSION", "value": "1", "is_runtime": false, "is_buildtime": true})
    );
}

#[test]
fn a_failed_build_tells_the_step_and_its_last_lines_once() {
    let steps = json!([step(1, "RUN make", "running", 1, None)]);
    let failure = json!({
        "during": "build", "code": "build_failed", "message": "step 1 of 2 failed: RUN make ended with code 2",
        "hint": "see the lines below", "exit_code": 2, "log_tail": ["make: *** No rule"]
    });
    let course = vec![
        of_commit("inProgress", json!({"step": "building", "build_steps": steps}), Value::Null),
        of_commit("failed", Value::Null, failure),
    ];
    let lines = log(&[
        (1, "Step 1 of 2 [build] RUN make"),
        (2, "make: *** No rule"),
        (3, "step 1 of 2 failed: RUN make ended with code 2"),
        (3, "see the lines below"),
    ]);
    let server = platform(true, String::new(), course, lines);
    let ended = User::of(&server).run(&["deploy", "web"]);
    assert_eq!(ended.code, 1);
    assert!(
        ended.stdout.ends_with("building\n  Step 1 of 2 [build] RUN make\n  make: *** No rule\nfailed\n"),
        "{}",
        ended.stdout
    );
    assert_eq!(
        ended.stderr,
        "error: deploying web failed: step 1 of 2 failed: RUN make ended with code 2\n\
         hint: see the lines below\n\
         cause: build_failed (during build)\n\
         exit code: 2\n\
         last log lines:\n\
         \x20 | make: *** No rule\n\
         the version of web that was deployed before still serves\n"
    );
}

#[test]
fn another_branch_or_commit_is_built_once_and_saved_with_the_repository() {
    let site = Server::start(|_| (200, "", String::new()));
    let deploy = |arguments: &[&str]| {
        let server = platform(true, site.url(), success(), json!([]));
        let ended = User::of(&server).run(&[&["deploy", "web", "--no-wait"], arguments].concat());
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        server
    };
    let trigger = "POST /v3/applications/app-id/deployments";
    let patch = "PATCH /v3/applications/app-id";
    assert_eq!(sent(&deploy(&["--branch", "next"]), trigger), json!({"branch": "next"}));
    assert_eq!(sent(&deploy(&["--git-tag", "v1"]), trigger), json!({"branch": "v1"}));
    assert_eq!(sent(&deploy(&["--commit", SHA]), trigger), json!({"commit_sha": SHA}));
    let server =
        deploy(&["--git", URL, "--branch", "next", "--git-credential", "team", "--lfs", "--path", "app"]);
    assert_eq!(
        sent(&server, patch),
        json!({"default_branch": "next", "git_credential_id": "team-id", "lfs_enabled": true, "build_path": "app"})
    );
    assert_eq!(sent(&server, trigger), json!({}));
    let same = deploy(&["--git", URL, "--dockerfile", "Dockerfile", "--cache"]);
    assert!(same.requests().iter().all(|request| !request.line.starts_with("PATCH")));
}

#[test]
fn an_application_changes_its_repository_and_what_a_push_does() {
    let server = platform(true, String::new(), success(), json!([]));
    let user = User::of(&server);
    let ended = user.run_with(
        &["apps", "update", "web", "--dockerfile-text", "-", "--only-path", "src/**", "--auto-deploy"],
        "FROM scratch\n",
    );
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert_eq!(
        ended.stdout,
        "saved; it counts from the next push\nsaved; it counts from the next deployment: darsena deploy web\n"
    );
    assert_eq!(
        sent(&server, "PATCH /v3/applications/app-id"),
        json!({"dockerfile_text": "FROM scratch\n", "allow_deploy_paths": ["src/**"], "auto_deploy": true})
    );
    let shown = user.run(&["apps", "show", "web"]);
    for row in [
        "repository      https://git.example.com/acme/shop.git\n",
        "branch          the repository's default\n",
        "build           with Dockerfile\n",
        "on a push       nothing\n",
        "commit          0123456789ab on main  Add the menu (Ada)\n",
    ] {
        assert!(shown.stdout.contains(row), "{row:?} is not in {}", shown.stdout);
    }
    let listed = user.run(&["deployments", "list", "web"]);
    assert!(listed.stdout.contains("0123456789ab Add the menu  MANUAL_DEPLOY"), "{}", listed.stdout);
    let shown = user.run(&["deployments", "show", "web"]);
    for words in ["message     Add the menu", "author      Ada\n", "branch      main\n"] {
        assert!(shown.stdout.contains(words), "{words:?} is not in {}", shown.stdout);
    }
}

#[test]
fn what_does_not_fit_together_is_told_before_any_change() {
    let server = platform(true, String::new(), success(), json!([]));
    let user = User::of(&server);
    for arguments in [
        &["deploy", "web", "--image", "nginx", "--git", URL][..],
        &["deploy", "web", "--image", "nginx", "--branch", "b"],
        &["deploy", "web", "--branch", "b", "--commit", SHA],
        &["deploy", "web", "--branch", "b", "--git-tag", "t"],
        &["deploy", "web", "--commit", "abc123"],
        &["deploy", "web", "--lfs", "--no-lfs"],
        &["deploy", "web", "--dockerfile-text", "-", "--dockerfile", "D"],
        &["deploy", "web", "--build-type", "nixpacks"],
        &["deploy", "web", "--dockerfile-text", "-"],
        &["apps", "update", "web"],
        &["apps", "update", "web", "--only-path", "a", "--ignore-path", "b"],
        &["promote", "web", "web"],
        &["env", "web", "set", "A=b", "--build", "--runtime"],
    ] {
        let ended = user.run(arguments);
        assert_eq!(ended.code, 2, "{arguments:?}: {}{}", ended.stdout, ended.stderr);
    }
    let ended = user.run(&["deploy", "web", "--image", "nginx"]);
    assert!(ended.code == 1 && ended.stderr.contains("not made from an image"), "{}", ended.stderr);
    assert!(server.requests().iter().all(|request| request.line.starts_with("GET")));
}

#[test]
fn a_repository_is_looked_into_and_its_dockerfile_can_be_given_back() {
    let server = Server::start(|request| match request.line.as_str() {
        "GET /v3/git-credentials?limit=100&offset=0" => page(&[super::git_credentials::token("team")]),
        "POST /v3/git/inspect" => ok(json!({
            "repo_url": URL, "default_branch": "main", "branches": ["main", "next"],
            "commit": {"sha": SHA, "branch": "main", "message": "Add the menu", "author": "Ada"},
            "dockerfile": {"text": "FROM node\nRUN \tnpm ci\n", "origin": "made", "detail": "Node.js"}})),
        other => (404, "", json!({"message": other, "status": 404}).to_string()),
    });
    let user = User::of(&server);
    let ended =
        user.run(&["git", "inspect", URL, "--git-credential", "team", "--branch", "main", "--path", "app"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert_eq!(
        ended.stdout,
        "repository      https://git.example.com/acme/shop.git\n\
         default branch  main\n\
         branches        main, next\n\
         commit          0123456789ab on main  Add the menu (Ada)\n\
         dockerfile      made for Node.js\n\
         \n\
         FROM node\n\
         RUN \tnpm ci\n"
    );
    assert_eq!(
        sent(&server, "POST /v3/git/inspect"),
        json!({"repo_url": URL, "git_credential_id": "team-id", "branch": "main", "build_path": "app"})
    );
    let text = user.run(&["git", "inspect", URL, "--dockerfile"]);
    assert_eq!(text.stdout, "FROM node\nRUN \tnpm ci\n");
}

/// A server on which both hooks of `web` are on, or off.
fn hooks(on: bool) -> Server {
    Server::start(move |request| {
        let (path, _) = request.line.split_once('?').unwrap_or((&request.line, ""));
        let path = path.replace("/v3/applications/app-id", "");
        match path.as_str() {
            "GET /v3/applications" => page(&[built("")]),
            "GET " => ok(built("")),
            "DELETE /deployment-hook" | "DELETE /push-webhook" => (204, "", String::new()),
            "GET /deployment-hook" | "GET /push-webhook" if !on => {
                (404, "", json!({"message": "it is off", "status": 404}).to_string())
            }
            "GET /deployment-hook" | "POST /deployment-hook" => {
                ok(json!({"url": "https://d/apps/a/deploy/s1"}))
            }
            "PUT /deployment-hook" => ok(json!({"url": "https://d/apps/a/deploy/s2"})),
            "GET /push-webhook" => ok(json!({"url": "https://d/hooks/p", "last_called_at": null})),
            "POST /push-webhook" if on => ok(json!({"url": "https://d/hooks/p", "last_called_at": null})),
            "POST /push-webhook" | "PUT /push-webhook" => {
                ok(json!({"url": "https://d/hooks/p", "secret": "signs", "last_called_at": null}))
            }
            "POST /promote" => ok(deployment("waiting", Value::Null)),
            other => (404, "", json!({"message": format!("not here: {other}"), "status": 404}).to_string()),
        }
    })
}

#[test]
fn a_deploy_hook_is_a_secret_address() {
    let user = User::of(&hooks(true));
    let shown = user.run(&["hooks", "show", "web"]);
    assert_eq!((shown.code, shown.stdout.as_str()), (0, "https://d/apps/a/deploy/s1\n"));
    for words in ["curl -fsS -X POST 'https://d/apps/a/deploy/s1'", "-d commit="] {
        assert!(shown.stderr.contains(words), "{}", shown.stderr);
    }
    assert_eq!(user.run(&["hooks", "regenerate", "web"]).stdout, "https://d/apps/a/deploy/s2\n");
    assert_eq!(user.run(&["hooks", "disable", "web"]).stdout, "the deploy hook of web is off\n");
    let user = User::of(&hooks(false));
    for word in ["show", "regenerate"] {
        let off = user.run(&["hooks", word, "web"]);
        assert_eq!(off.code, 1);
        assert!(off.stderr.contains("darsena hooks enable web"), "{}", off.stderr);
    }
    assert_eq!(user.run(&["hooks", "enable", "web", "--json"]).json()["url"], "https://d/apps/a/deploy/s1");
}

#[test]
fn a_webhook_tells_its_secret_once_and_where_to_enter_it() {
    let enabled = User::of(&hooks(false)).run(&["webhook", "enable", "web"]);
    assert_eq!(
        (enabled.code, enabled.stdout.as_str()),
        (0, "url        https://d/hooks/p\nsecret     signs\nlast push  never\n")
    );
    for server in ["GitHub", "GitLab", "Gitea", "Bitbucket", "apps update web --auto-deploy"] {
        assert!(enabled.stderr.contains(server), "{}", enabled.stderr);
    }
    let again = User::of(&hooks(true)).run(&["webhook", "enable", "web"]);
    assert!(again.stderr.contains("darsena webhook regenerate web"), "{}", again.stderr);
    assert!(!again.stdout.contains("secret"), "{}", again.stdout);
    assert_eq!(
        User::of(&hooks(true)).run(&["webhook", "disable", "web"]).stdout,
        "the push webhook of web is off\n"
    );
    assert_eq!(User::of(&hooks(false)).run(&["webhook", "show", "web"]).code, 1);
}

#[test]
fn an_image_is_promoted_to_another_application() {
    let mut other = built("");
    (other["id"], other["name"]) = (json!("staging-id"), json!("staging"));
    let server = Server::start(move |request| match request.line.split('?').next() {
        Some("GET /v3/applications") => page(&[built(""), other.clone()]),
        Some("POST /v3/applications/staging-id/promote") => ok(deployment("waiting", Value::Null)),
        other => (404, "", json!({"message": other, "status": 404}).to_string()),
    });
    let ended = User::of(&server).run(&["promote", "staging", "web", "--no-wait"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "dep-id\n"));
    let line = "POST /v3/applications/staging-id/promote";
    assert_eq!(sent(&server, line), json!({"target_app_id": "app-id"}));
    let requests = server.requests();
    let request = requests.iter().find(|request| request.line == line).unwrap();
    assert!(request.header("idempotency-key").is_some(), "a broken connection must not promote twice");
}
