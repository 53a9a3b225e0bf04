//! What each Git server sends, and what becomes of it.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::*;

const GITHUB: &str = include_str!("samples/github.json");
const GITHUB_PING: &str = include_str!("samples/github_ping.json");
const GITEA: &str = include_str!("samples/gitea.json");
const GITLAB: &str = include_str!("samples/gitlab.json");
const BITBUCKET: &str = include_str!("samples/bitbucket.json");
const HEAD: &str = "7d1b31e74ee336d15cbd21741bc88a537ed063a0";
const ZEROS: &str = "0000000000000000000000000000000000000000";

const OF_GITHUB: &[(&str, &str)] = &[("x-github-event", "push")];
const OF_GITEA: &[(&str, &str)] =
    &[("x-gitea-event", "push"), ("x-github-event", "push"), ("x-gogs-event", "push")];
const OF_GITLAB: &[(&str, &str)] = &[("x-gitlab-event", "Push Hook")];
const OF_BITBUCKET: &[(&str, &str)] = &[("x-event-key", "repo:push")];

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

fn pushes(of: &[(&'static str, &str)], body: &str) -> Vec<Push> {
    match event(&headers(of), body.as_bytes()).unwrap() {
        Event::Pushes(pushes) => pushes,
        Event::Other(name) => panic!("{name} is no push"),
    }
}

/// A payload with one value replaced.
fn with(body: &str, pointer: &str, value: Value) -> String {
    let mut json: Value = serde_json::from_str(body).unwrap();
    *json.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
    json.to_string()
}

fn wanted(url: &str) -> Wanted<'_> {
    Wanted { url, branch: Some("main"), is_on: true, allow: Vec::new(), ignore: Vec::new() }
}

fn reason(wanted: &Wanted<'_>, pushes: Vec<Push>) -> String {
    match decide(wanted, pushes) {
        Verdict::Ignored(reason) => reason,
        Verdict::Deploy { commit, .. } => panic!("{} is deployed", commit.id),
    }
}

fn deploys(wanted: &Wanted<'_>, pushes: Vec<Push>) -> Commit {
    match decide(wanted, pushes) {
        Verdict::Deploy { revision, commit, .. } => {
            assert_eq!(revision, Revision::Commit { id: commit.id.clone(), branch: commit.branch.clone() });
            commit
        }
        Verdict::Ignored(reason) => panic!("{reason}"),
    }
}

#[test]
fn each_server_tells_of_the_same_push() {
    for (of, body, url, message) in [
        (OF_GITHUB, GITHUB, "https://github.com/acme/shop", "More bread\n\nFor the weekend."),
        (OF_GITEA, GITEA, "ssh://git@git.example.com:2222/acme/shop", "More bread\n"),
        (OF_GITLAB, GITLAB, "git@gitlab.example.com:acme/tools/shop.git", "More bread\n"),
        (OF_BITBUCKET, BITBUCKET, "git@bitbucket.org:acme/shop.git", "More bread\n"),
    ] {
        let expected = Commit {
            id: HEAD.to_owned(),
            branch: Some("main".to_owned()),
            message: message.to_owned(),
            author: "Grace".to_owned(),
        };
        assert_eq!(deploys(&wanted(url), pushes(of, body)), expected, "{url}");
    }
}

#[test]
fn each_server_tells_where_the_branch_stood() {
    let of = |of, body: &str| pushes(of, body).into_iter().map(|push| push.before).collect::<Vec<_>>();
    let parent = || Some(format!("{}1", "0".repeat(39)));
    for (server, body) in [(OF_GITHUB, GITHUB), (OF_GITEA, GITEA), (OF_GITLAB, GITLAB)] {
        assert_eq!(of(server, body), [parent()], "{server:?}");
        assert_eq!(of(server, &with(body, "/before", json!(ZEROS))), [Some(ZEROS.to_owned())], "{server:?}");
        for none in [Value::Null, json!("x"), json!("")] {
            assert_eq!(of(server, &with(body, "/before", none)), [None], "{server:?}");
        }
    }
    // A tag, a branch, and one that is gone.
    assert_eq!(of(OF_BITBUCKET, BITBUCKET), [None, parent(), parent()]);
    match decide(&wanted("https://github.com/acme/shop"), pushes(OF_GITHUB, GITHUB)) {
        Verdict::Deploy { before, .. } => assert_eq!(before, parent()),
        Verdict::Ignored(reason) => panic!("{reason}"),
    }
}

#[test]
fn paths_are_those_of_all_commits_and_only_when_all_are_listed() {
    let of = |of, body: &str| pushes(of, body).remove(0).paths;
    let expected = ["src/oven.rs", "README.md", "docs/old.md", "docs/bread.md"].map(str::to_owned);
    assert_eq!(of(OF_GITHUB, GITHUB), Some(expected.to_vec()));
    assert_eq!(of(OF_GITEA, GITEA), Some(vec!["src/bread.rs".to_owned()]));
    assert_eq!(of(OF_GITLAB, GITLAB), Some(vec!["src/oven.rs".to_owned(), "docs/bread.md".to_owned()]));
    assert!(pushes(OF_BITBUCKET, BITBUCKET).iter().all(|push| push.paths.is_none()));

    let many = vec![serde_json::from_str::<Value>(GITHUB).unwrap()["head_commit"].clone(); 2048];
    for (server, body) in [
        (OF_GITHUB, with(GITHUB, "/forced", json!(true))),
        (OF_GITHUB, with(GITHUB, "/commits", json!([]))),
        (OF_GITEA, with(GITEA, "/commits", Value::Null)),
        (OF_GITHUB, with(GITHUB, "/commits", json!(many))),
        (OF_GITHUB, with(GITHUB, "/commits/0/added", Value::Null)),
        (OF_GITEA, with(GITEA, "/total_commits", json!(9))),
        (OF_GITLAB, with(GITLAB, "/total_commits_count", json!(21))),
        (OF_GITLAB, with(GITLAB, "/commits", json!([]))),
        (OF_GITHUB, with(GITHUB, "/before", json!(ZEROS))),
        (OF_GITEA, with(GITEA, "/before", json!(ZEROS))),
        (OF_GITLAB, with(GITLAB, "/before", json!(ZEROS))),
    ] {
        assert_eq!(of(server, &body), None, "{server:?}");
    }
}

#[test]
fn only_the_branch_of_the_application_deploys() {
    let url = "https://github.com/acme/shop";
    let read = |body: &str| pushes(OF_GITHUB, body);
    let with_ref = |name: &str| read(&with(GITHUB, "/ref", json!(name)));
    assert!(reason(&wanted(url), with_ref("refs/heads/next")).contains("\"next\""));
    assert!(reason(&wanted(url), with_ref("refs/tags/main")).contains("is no branch"));
    assert!(reason(&wanted(url), with_ref("main")).contains("is no branch"));
    let deleted = read(&with(GITHUB, "/after", json!(ZEROS)));
    assert!(reason(&wanted(url), deleted).contains("was deleted"));
    assert!(
        reason(&wanted(url), read(&with(GITHUB, "/after", json!("--upload-pack=id")))).contains("deleted")
    );

    // Without a branch of its own it is the one that the repository has.
    let default = Wanted { branch: None, ..wanted("https://git.example.com/acme/shop") };
    assert!(reason(&default, pushes(OF_GITEA, GITEA)).contains("deploys \"trunk\""));
    let trunk = with(GITEA, "/ref", json!("refs/heads/trunk"));
    assert_eq!(deploys(&default, pushes(OF_GITEA, &trunk)).branch.as_deref(), Some("trunk"));
    let bitbucket = Wanted { branch: None, ..wanted("https://bitbucket.org/acme/shop") };
    assert!(
        reason(
            &bitbucket,
            pushes(
                OF_BITBUCKET,
                &with(
                    BITBUCKET,
                    "/push/changes/0",
                    serde_json::from_str::<Value>(BITBUCKET).unwrap()["push"]["changes"][1].clone()
                )
            )
        )
        .contains("set default_branch")
    );
    let gone = Wanted { branch: Some("gone"), ..wanted("https://bitbucket.org/acme/shop") };
    assert!(matches!(decide(&gone, pushes(OF_BITBUCKET, BITBUCKET)), Verdict::Ignored(_)));

    // A name that git would take for an option goes nowhere, whoever set it.
    let dash = Wanted { branch: Some("-x"), ..wanted(url) };
    assert!(reason(&dash, with_ref("refs/heads/-x")).contains("begins with a dash"));
}

#[test]
fn another_repository_deploys_nothing() {
    for url in
        ["https://github.com/eve/shop", "https://example.com/acme/shop", "https://github.com/acme/shop2"]
    {
        assert!(reason(&wanted(url), pushes(OF_GITHUB, GITHUB)).contains("another repository"), "{url}");
    }
    let bare = with(GITHUB, "/repository", json!({}));
    assert!(reason(&wanted("https://github.com/acme/shop"), pushes(OF_GITHUB, &bare)).contains("another"));
}

#[test]
fn paths_and_the_switch_decide() {
    let url = "https://github.com/acme/shop";
    let read = || pushes(OF_GITHUB, GITHUB);
    let globs = |globs: &[&str]| globs.iter().map(|glob| (*glob).to_owned()).collect::<Vec<_>>();
    assert!(reason(&Wanted { is_on: false, ..wanted(url) }, read()).contains("auto_deploy"));
    deploys(&Wanted { allow: globs(&["src/**"]), ..wanted(url) }, read());
    let none = Wanted { allow: globs(&["web/**"]), ..wanted(url) };
    assert!(reason(&none, read()).contains("no path"));
    deploys(&none, pushes(OF_GITHUB, &with(GITHUB, "/forced", json!(true))));
    deploys(&Wanted { ignore: globs(&["docs/**", "*.md"]), ..wanted(url) }, read());
    let all = Wanted { ignore: globs(&["docs/**", "*.md", "src/**"]), ..wanted(url) };
    assert!(reason(&all, read()).contains("no path"));
}

#[test]
fn other_events_are_named_and_broken_ones_refused() {
    for (of, name) in [
        (&[("x-github-event", "ping")][..], "ping"),
        (&[("x-gitlab-event", "Tag Push Hook")], "Tag Push Hook"),
        (&[("x-event-key", "pullrequest:created")], "pullrequest:created"),
        (&[("x-gitea-event", "create"), ("x-github-event", "push")], "create"),
    ] {
        assert_eq!(event(&headers(of), GITHUB_PING.as_bytes()).unwrap(), Event::Other(name.to_owned()));
    }
    for (of, body) in [
        (&[][..], GITHUB),
        (OF_GITHUB, ""),
        (OF_GITHUB, "{}"),
        (OF_GITHUB, "[]"),
        (OF_GITLAB, GITHUB),
        (OF_BITBUCKET, GITHUB),
        (OF_GITHUB, "payload=%7B%7D"),
    ] {
        assert!(event(&headers(of), body.as_bytes()).is_err(), "{of:?} {body:.20}");
    }
}

#[test]
fn a_payload_comes_as_the_field_of_a_form_too() {
    let form: String =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("payload", GITHUB).finish();
    let of = [("x-github-event", "push"), ("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(pushes(&of, &form), pushes(OF_GITHUB, GITHUB));
}

#[test]
fn long_texts_are_cut() {
    let long = with(GITHUB, "/head_commit/message", json!("é".repeat(5000)));
    let long = with(&long, "/head_commit/author/name", json!("x".repeat(5000)));
    let commit = deploys(&wanted("https://github.com/acme/shop"), pushes(OF_GITHUB, &long));
    assert_eq!((commit.message.chars().count(), commit.author.len()), (1000, 200));
}
