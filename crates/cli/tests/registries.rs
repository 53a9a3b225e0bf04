//! `darsena registries`, and the commands that choose a credential.

use std::fs;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};

use super::deployment;
use super::harness::{Request, Server, User, application, ok, page, sent};

const ID: &str = "5b0f6c1e-0a4f-4a53-8d0e-0c9e3f6d7a21";

fn credential(name: &str, registry: &str, host: Option<&str>) -> Value {
    json!({
        "id": ID, "company_id": "c", "name": name, "registry": registry, "username": "bot", "host": host,
        "status": "valid", "last_verified_at": "2026-01-01T00:00:00Z", "last_used_at": null,
        "used_by": ["app-id", "gone-id"], "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"
    })
}

fn refusal(status: u16, message: &str, data: Value) -> (u16, &'static str, String) {
    (status, "", json!({"message": message, "status": status, "data": data}).to_string())
}

/// A server that has the credential `stored`, and says yes to every change of one.
fn platform(stored: Value) -> Server {
    Server::start(move |request: &Request| {
        let (path, _) = request.line.split_once('?').unwrap_or((&request.line, ""));
        let one = format!("/v3/docker-registries/{ID}");
        match path {
            "GET /v3/docker-registries" => page(std::slice::from_ref(&stored)),
            "POST /v3/docker-registries" => {
                let sent: Value = serde_json::from_str(&request.body).unwrap();
                let mut made = credential("", "github", None);
                for field in ["name", "registry", "username", "host"] {
                    made[field] = sent[field].clone();
                }
                (201, "", made.to_string())
            }
            "GET /v3/applications" => page(&[application("http://web.localhost:1/")]),
            "GET /v3/applications/app-id" | "PATCH /v3/applications/app-id" => {
                let mut web = application("http://web.localhost:1/");
                web["docker_registry_credential_id"] = json!("other-id");
                ok(web)
            }
            "GET /v3/applications/app-id/processes" => page(&[]),
            path if path == format!("GET {one}") || path == format!("PATCH {one}") => ok(stored.clone()),
            path if path == format!("DELETE {one}") => ok(json!({"message": "removed"})),
            path if path == format!("POST {one}/verify") => ok(json!({
                "status": "valid", "host": "ghcr.io", "last_verified_at": "t", "code": null, "message": null,
                "hint": null})),
            _ => refusal(404, &format!("not here: {path}"), Value::Null),
        }
    })
}

fn team() -> Server {
    platform(credential("team", "github", Some("ghcr.io")))
}

fn changes(server: &Server) -> Vec<String> {
    let lines = server.requests().into_iter().map(|request| request.line);
    lines.filter(|line| !line.starts_with("GET")).collect()
}

#[test]
fn a_login_is_tried_before_it_is_saved_unless_told_otherwise() {
    let server = team();
    let user = User::of(&server);
    let arguments =
        ["registries", "create", "acme", "--registry", "github", "--username", "bot", "--token-stdin"];
    let ended = user.run_with(&arguments, "canary-token\n");
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "acme is stored: ghcr.io accepts bot\n"));
    assert!(
        ended.stderr.contains("read:packages") && ended.stderr.contains("--credential acme"),
        "{}",
        ended.stderr
    );
    assert_eq!(
        sent(&server, "POST /v3/docker-registries?verify=true"),
        json!({"name": "acme", "registry": "github", "username": "bot", "secret": "canary-token", "host": "ghcr.io"})
    );

    let ended = user.run_with(&[&arguments[..], &["--no-verify", "--json"]].concat(), "canary-token");
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert_eq!((&ended.json()["name"], &ended.json()["secret"]), (&json!("acme"), &Value::Null));
    assert_eq!(sent(&server, "POST /v3/docker-registries")["secret"], json!("canary-token"));

    let ended = user.run_with(&[&arguments[..], &["--no-verify"]].concat(), "canary-token");
    assert_eq!(ended.stdout, "acme is stored, unchecked\n");
}

#[test]
fn registries_that_only_this_command_knows_are_custom_with_a_host() {
    for (word, host, user, kind, sent_host) in [
        ("quay", None, Some("acme+bot"), "custom", json!("quay.io")),
        ("azure", Some("acme.azurecr.io"), Some("pull"), "custom", json!("acme.azurecr.io")),
        (
            "google-artifact-registry",
            Some("europe-west8-docker.pkg.dev"),
            Some("_json_key"),
            "custom",
            json!("europe-west8-docker.pkg.dev"),
        ),
        ("custom", Some("r.example.com:5000"), Some("u"), "custom", json!("r.example.com:5000")),
        ("dockerhub", None, Some("u"), "dockerHub", json!("docker.io")),
        ("gitlab", Some("registry.acme.it"), Some("u"), "gitlab", json!("registry.acme.it")),
        ("digitalocean", None, Some("u"), "digitalOcean", json!("registry.digitalocean.com")),
        ("ecr", None, None, "ecr", Value::Null),
    ] {
        let server = team();
        let mut arguments = vec!["registries", "create", "new", "--registry", word, "--token-stdin"];
        arguments.extend(host.iter().flat_map(|host| ["--host", host]));
        arguments.extend(user.iter().flat_map(|user| ["--username", user]));
        let ended = User::of(&server).run_with(&arguments, "{\n canary-token\n}\n");
        assert_eq!(ended.code, 0, "{word}: {}", ended.stderr);
        let is_advised = ended.stderr.contains("user name: ") && ended.stderr.contains("token: ");
        assert_eq!(is_advised, word != "custom", "{}", ended.stderr);
        // Without a host no registry can be asked.
        let verify = if word == "ecr" { "" } else { "?verify=true" };
        let body = sent(&server, &format!("POST /v3/docker-registries{verify}"));
        assert_eq!((&body["registry"], &body["host"]), (&json!(kind), &sent_host), "{word}");
        assert_eq!(body["username"], json!(user.unwrap_or("AWS")));
        assert_eq!(body["secret"], json!("{\n canary-token\n}"));
    }
}

#[test]
fn wrong_usage_is_told_before_any_request_and_never_takes_a_token() {
    let server = team();
    let create = |more: &[&'static str]| [&["registries", "create", "new"][..], more].concat();
    for (arguments, words) in [
        (create(&["--registry", "azure", "--username", "u", "--token-stdin"]), "--host NAME.azurecr.io"),
        (create(&["--registry", "google-artifact-registry", "--username", "u"]), "LOCATION-docker.pkg.dev"),
        (create(&["--registry", "custom", "--username", "u"]), "HOST[:PORT]"),
        (create(&["--registry", "quay", "--token-stdin"]), "NAMESPACE+ROBOT"),
        (
            create(&["--registry", "custom", "--host", "https://r.example.com", "--username", "u"]),
            "without https://",
        ),
        (create(&["--registry", "nowhere", "--username", "u"]), "google-artifact-registry"),
        (create(&["--registry", "github", "--username", "u", "--token", "canary"]), "unexpected argument"),
        (create(&["--registry", "github", "--username", "u", "--token=canary"]), "unexpected argument"),
        (vec!["registries", "update", "team"], "--new-token"),
        (vec!["deploy", "web", "--credential", "a", "--no-credential"], "cannot be used with"),
    ] {
        let ended = User::of(&server).run(&arguments);
        assert_eq!(ended.code, 2, "{arguments:?}");
        assert!(ended.stderr.contains(words), "{arguments:?}: {}", ended.stderr);
        assert!(!ended.stderr.contains("canary"), "{}", ended.stderr);
    }
    assert!(server.requests().is_empty());
}

#[test]
fn without_a_terminal_a_token_and_an_empty_one_are_asked_for_in_words() {
    let server = team();
    let user = User::of(&server);
    let arguments = ["registries", "create", "acme", "--registry", "github", "--username", "bot"];
    let ended = user.run(&arguments);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("--token-stdin"), "{}", ended.stderr);
    let ended = user.run_with(&[&arguments[..], &["--token-stdin"]].concat(), "\n");
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("the token is empty"), "{}", ended.stderr);
    let arguments = ["registries", "create", "g", "--registry", "gcr", "--username", "_json_key"];
    let ended = user.run(&arguments);
    assert!(ended.stderr.contains("--token-stdin < key.json"), "{}", ended.stderr);
    assert!(changes(&server).is_empty());
}

#[test]
fn a_name_is_given_once() {
    let server = team();
    let arguments =
        ["registries", "create", "team", "--registry", "github", "--username", "bot", "--token-stdin"];
    let ended = User::of(&server).run_with(&arguments, "canary-token");
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("darsena registries update team"), "{}", ended.stderr);
    assert!(changes(&server).is_empty());
}

#[test]
fn a_login_that_is_not_taken_is_told_with_its_cause() {
    for (status, code, words) in [
        (422, "credential_rejected", "GitHub Container Registry takes: "),
        (422, "credential_scope_missing", "scope read:packages"),
        (502, "registry_unreachable", "--no-verify saves"),
        (429, "rate_limited", "--no-verify saves"),
    ] {
        let server = Server::start(move |request| match request.line.as_str() {
            line if line.starts_with("GET") => page(&[]),
            _ => refusal(status, "ghcr.io: no\u{1b}[2J", json!({"code": code, "message": "make a new one"})),
        });
        let arguments =
            ["registries", "create", "acme", "--registry", "github", "--username", "b", "--token-stdin"];
        let ended = User::of(&server).run_with(&arguments, "canary-token");
        assert_eq!((ended.code, ended.stdout.as_str()), (1, ""));
        for words in ["error: ghcr.io: no\n", "hint: make a new one\n", &format!("cause: {code}\n"), words] {
            assert!(ended.stderr.contains(words), "{words:?} is not in {}", ended.stderr);
        }
    }
}

#[test]
fn a_list_and_a_record_say_where_a_credential_is_used() {
    let server = team();
    let user = User::of(&server);
    let ended = user.run(&["registries", "list"]);
    assert_eq!(ended.code, 0);
    assert_eq!(
        ended.stdout,
        "NAME  REGISTRY  HOST     USER  STATUS  LAST USED  APPS\nteam  github    ghcr.io  bot   valid   never      2\n"
    );
    assert_eq!(server.requests().len(), 1);
    for name in ["team", ID] {
        let ended = user.run(&["registries", "show", name]);
        assert_eq!(ended.code, 0);
        assert!(ended.stdout.contains("\nused by    web, gone-id\n"), "{}", ended.stdout);
    }
    assert_eq!(
        user.run(&["registries", "show", "team", "--json"]).json()["used_by"],
        json!(["app-id", "gone-id"])
    );
    assert_eq!(user.run(&["registries", "list", "--json"]).json()[0]["host"], json!("ghcr.io"));
    let ended = user.run(&["registries", "show", "nope"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("darsena registries list"), "{}", ended.stderr);
}

#[test]
fn someone_who_may_see_names_only_sees_names_only() {
    let names = json!({"id": ID, "company_id": "c", "name": "team", "registry": "github", "username": "",
                       "created_at": "t", "updated_at": "t"});
    let server = platform(names);
    let ended = User::of(&server).run(&["registries", "list"]);
    assert_eq!(ended.stdout.lines().nth(1), Some("team  github    -     -     -       -          -"));
    let ended = User::of(&server).run(&["registries", "show", "team"]);
    assert!(ended.code == 0 && ended.stdout.contains("\nstatus     -\n"), "{}{}", ended.stdout, ended.stderr);
}

#[test]
fn two_of_one_name_are_told_apart_by_id() {
    let mut second = credential("team", "github", Some("ghcr.io"));
    (second["id"], second["used_by"]) = (json!("another-id"), json!([]));
    let rows = [credential("team", "github", Some("ghcr.io")), second];
    let server = Server::start(move |_| page(&rows));
    let ended = User::of(&server).run(&["registries", "show", "team"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains(ID) && ended.stderr.contains("another-id"), "{}", ended.stderr);
    assert_eq!(User::of(&server).run(&["registries", "show", "another-id"]).code, 0);
}

#[test]
fn a_change_sends_what_differs_and_asks_for_the_token_when_the_login_does() {
    let line = format!("PATCH /v3/docker-registries/{ID}");
    for (arguments, body, is_tried) in [
        (&["--name", "crew"][..], json!({"name": "crew"}), false),
        (&["--new-token", "--token-stdin"], json!({"secret": "canary-token"}), true),
        (&["--token-stdin"], json!({"secret": "canary-token"}), true),
        (&["--username", "new", "--token-stdin"], json!({"username": "new", "secret": "canary-token"}), true),
        (
            &["--registry", "quay", "--token-stdin"],
            json!({"registry": "custom", "host": "quay.io", "secret": "canary-token"}),
            true,
        ),
        (
            &["--registry", "ecr", "--username", "AWS", "--token-stdin"],
            json!({"registry": "ecr", "username": "AWS", "secret": "canary-token"}),
            false,
        ),
        (
            &["--host", "r.acme.it", "--token-stdin", "--no-verify"],
            json!({"host": "r.acme.it", "secret": "canary-token"}),
            false,
        ),
    ] {
        let server = team();
        let all = [&["registries", "update", "team"][..], arguments].concat();
        let ended = User::of(&server).run_with(&all, "canary-token\n");
        assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
        let line = if is_tried { format!("{line}?verify=true") } else { line.clone() };
        assert_eq!(sent(&server, &line), body, "{arguments:?}");
        let is_login = body["secret"] != Value::Null;
        assert_eq!(ended.stderr.contains("next pull"), is_login, "{}", ended.stderr);
    }
    let server = team();
    let same = ["registries", "update", "team", "--name", "team", "--username", "bot", "--host", "ghcr.io"];
    let ended = User::of(&server).run(&[&same[..], &["--registry", "github"]].concat());
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "team is up to date\n"), "{}", ended.stderr);
    let ended = User::of(&server).run(&["registries", "update", "team", "--username", "new"]);
    assert_eq!(ended.code, 2, "the token is needed again");
    assert!(changes(&server).is_empty());
}

#[test]
fn verifying_says_yes_or_the_cause() {
    let server = team();
    let ended = User::of(&server).run(&["registries", "verify", "team"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "ghcr.io accepts bot (team)\n"));

    let no = json!({"status": "rejected", "host": "ghcr.io", "last_verified_at": "t",
                    "code": "credential_rejected", "message": "denied", "hint": null});
    let server = Server::start(move |request| match request.line.as_str() {
        line if line.starts_with("GET") => page(&[credential("my team", "github", Some("ghcr.io"))]),
        _ => ok(no.clone()),
    });
    let ended = User::of(&server).run(&["registries", "verify", "my team"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""));
    for words in [
        "error: my team was rejected: denied\n",
        "`darsena registries update 'my team' --new-token`\n",
        "cause: credential_rejected\n",
    ] {
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
    let ended = User::of(&server).run(&["registries", "verify", "my team", "--json"]);
    assert_eq!((ended.code, &ended.json()["code"]), (1, &json!("credential_rejected")));
}

#[test]
fn a_credential_in_use_is_kept_unless_forced() {
    let server = Server::start(|request| match request.line.as_str() {
        line if line.starts_with("GET") => page(&[credential("team", "github", Some("ghcr.io"))]),
        line if line.ends_with("?force=true") => ok(json!({"message": "removed"})),
        _ => {
            let applications =
                json!([{"id": "a", "display_name": "shop"}, {"id": "b", "display_name": "w\u{1b}[2Jeb"}]);
            let data = json!({"code": "docker_registry_in_use", "applications": applications});
            refusal(409, "Registry credential is in use", data)
        }
    });
    let user = User::of(&server);
    let ended = user.run(&["registries", "delete", "team"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("--yes") && changes(&server).is_empty(), "{}", ended.stderr);
    let ended = user.run(&["registries", "delete", "team", "--yes"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""));
    assert!(
        ended.stderr.starts_with("error: team was not removed: applications use it\nhint: "),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("--force") && ended.stderr.ends_with("\n  shop\n  web\n"),
        "{}",
        ended.stderr
    );
    let ended = user.run(&["registries", "delete", ID, "--yes", "--force"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "removed\n"));
}

#[test]
fn an_application_gets_and_loses_a_credential_with_a_deployment() {
    let server = team();
    let user = User::of(&server);
    let patch = "PATCH /v3/applications/app-id";
    // The server of this test has no deployments; what is sent before counts.
    let ended = user.run(&["deploy", "web", "--image", "nginx:2", "--credential", "team"]);
    assert!(
        ended.stderr.contains("from this deployment on the image is pulled with team\n"),
        "{}",
        ended.stderr
    );
    assert_eq!(sent(&server, patch), json!({"docker_image": "nginx:2", "docker_registry_credential_id": ID}));

    let server = team();
    let ended = User::of(&server).run(&["deploy", "web", "--no-credential"]);
    assert!(ended.stderr.contains("pulled without a login\n"), "{}", ended.stderr);
    assert_eq!(sent(&server, patch), json!({"docker_registry_credential_id": null}));

    let server = team();
    User::of(&server).run(&["deploy", "web", "--image", "nginx"]);
    assert!(!changes(&server).contains(&patch.to_owned()), "a plain redeploy keeps the credential");

    let server = team();
    let ended = User::of(&server).run(&["deploy", "web", "--image", "nginx:2", "--credential", "nope"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("no registry credential named nope"), "{}", ended.stderr);
    assert!(changes(&server).is_empty());
}

#[test]
fn a_new_application_is_made_with_its_credential() {
    let server = Server::start(|request: &Request| {
        let (path, _) = request.line.split_once('?').unwrap_or((&request.line, ""));
        match path {
            "GET /v3/docker-registries" => page(&[credential("team", "github", Some("ghcr.io"))]),
            "GET /v3/applications" => page(&[]),
            "GET /v3/resources/clusters" => {
                ok(json!([{"id": "cl", "name": "local", "display_name": null, "location": "here"}]))
            }
            "POST /v3/applications" => (201, "", application("http://web.localhost:1/").to_string()),
            _ => refusal(404, "not here", Value::Null),
        }
    });
    User::of(&server).run(&["deploy", "web", "--image", "ghcr.io/acme/web", "--credential", "team"]);
    assert_eq!(sent(&server, "POST /v3/applications")["docker_registry_credential_id"], json!(ID));
}

#[test]
fn an_image_is_looked_into_with_a_credential() {
    let server = team();
    User::of(&server).run(&["images", "inspect", "ghcr.io/acme/web", "--credential", "team"]);
    assert_eq!(
        sent(&server, "POST /v3/images/inspect"),
        json!({"docker_image": "ghcr.io/acme/web", "docker_registry_credential_id": ID})
    );
}

#[test]
fn an_application_names_its_credential() {
    let is_there = AtomicBool::new(true);
    let server = Server::start(move |request: &Request| {
        let (path, _) = request.line.split_once('?').unwrap_or((&request.line, ""));
        let mut web = application("http://web.localhost:1/");
        web["docker_registry_credential_id"] = json!(ID);
        match path {
            "GET /v3/applications" => page(&[web]),
            "GET /v3/applications/app-id" => ok(web),
            "GET /v3/applications/app-id/processes" => page(&[]),
            _ if is_there.swap(false, Ordering::SeqCst) => ok(credential("team", "github", Some("ghcr.io"))),
            _ => refusal(404, "no such credential", Value::Null),
        }
    });
    let user = User::of(&server);
    let shown = user.run(&["apps", "show", "web"]).stdout;
    assert!(shown.contains("\ncredential  team\n"), "{shown}");
    let shown = user.run(&["apps", "show", "web"]).stdout;
    assert!(shown.contains(&format!("\ncredential  {ID} (removed)\n")), "{shown}");
}

#[test]
fn a_deployment_names_the_credential_it_was_made_with() {
    let server = Server::start(|request: &Request| {
        let (path, _) = request.line.split_once('?').unwrap_or((&request.line, ""));
        let mut record = deployment("success", Value::Null);
        record["docker_registry_credential_id"] = json!(ID);
        match path {
            "GET /v3/applications" => page(&[application("http://web.localhost:1/")]),
            "GET /v3/applications/app-id/deployments/dep-id" => ok(record),
            "GET /v3/applications/app-id/deployments" => page(&[deployment("success", Value::Null)]),
            _ => ok(credential("team", "github", Some("ghcr.io"))),
        }
    });
    let user = User::of(&server);
    let shown = user.run(&["deployments", "show", "web", "dep-id"]).stdout;
    assert!(shown.contains("\ncredential  team\n"), "{shown}");
    let shown = user.run(&["deployments", "show", "web"]).stdout;
    assert!(shown.contains("\ncredential  none\n"), "{shown}");
}

#[test]
fn the_token_is_in_no_argument_variable_or_file() {
    let server = team();
    let user = User::of(&server);
    let arguments =
        ["registries", "create", "acme", "--registry", "github", "--username", "bot", "--token-stdin"];
    let mut child = user
        .command(&arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"canary-token").unwrap();
    // The advice is printed right before the token is read; stdin stays open, so the command is still there.
    let mut stderr = child.stderr.take().unwrap();
    read_until(&mut stderr, "  token: ");
    for file in ["cmdline", "environ"] {
        let bytes = fs::read(format!("/proc/{}/{file}", child.id())).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.is_empty() && !text.contains("canary-token"), "{file}: {text}");
    }
    drop(stdin);
    wait(&mut child);
    assert_eq!(fs::read_dir(user.home.path()).unwrap().count(), 0, "something was kept");
    assert_eq!(sent(&server, "POST /v3/docker-registries?verify=true")["secret"], json!("canary-token"));
}

#[test]
fn a_token_that_is_typed_is_not_shown() {
    let server = team();
    let user = User::of(&server);
    let arguments = ["registries", "create", "acme", "--registry", "github", "--username", "bot"];
    let command = user.command(&arguments);
    let terminal = nix::pty::openpty(None, None).unwrap();
    // `setsid` makes the new terminal the one that the command is controlled by, as a login does.
    let mut child = std::process::Command::new("/usr/bin/setsid")
        .args(["--ctty", "--wait"])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdin(Stdio::from(terminal.slave))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut screen = File::from(terminal.master);
    let mut shown = read_until(&mut screen, "Token: ");
    screen.write_all(b"canary-token\r").unwrap();
    wait(&mut child);
    // The other end is closed, so this ends: with an error, as terminals do.
    let mut rest = Vec::new();
    let _ = screen.read_to_end(&mut rest);
    shown.push_str(&String::from_utf8_lossy(&rest));
    assert!(!shown.contains("canary"), "{shown}");
    assert_eq!(sent(&server, "POST /v3/docker-registries?verify=true")["secret"], json!("canary-token"));
}

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reads bytewise until the words have come; gives all that came.
fn read_until(from: &mut (impl Read + AsFd), words: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    let (mut text, mut byte) = (String::new(), [0]);
    while !text.contains(words) {
        let left = deadline.saturating_duration_since(Instant::now()).as_millis();
        let mut ready = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
        let count = poll(&mut ready, PollTimeout::try_from(left).unwrap()).unwrap();
        assert_eq!(count, 1, "{words:?} did not come: {text}");
        assert_eq!(from.read(&mut byte).unwrap(), 1, "it ended: {text}");
        text.push(byte[0].into());
    }
    text
}

/// Waits for success; a command that does not end is ended.
fn wait(child: &mut Child) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it did not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
