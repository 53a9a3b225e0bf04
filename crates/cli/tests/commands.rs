//! Whole commands, as processes, against a server of the test's own: what they ask for, what they print where,
//! and how they end.

mod git;
mod git_credentials;
mod harness;
mod registries;

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use harness::{Request, Server, User, application, ok, page, sent};
use serde_json::{Value, json};

fn deployment(status: &str, failure: Value) -> Value {
    let progress = match status {
        "inProgress" => json!({"step": "pulling", "layers": [
            {"digest": "sha256:0123456789abcdef", "done": 5_000_000, "total": 5_000_000, "state": "done"}]}),
        _ => Value::Null,
    };
    json!({
        "id": "dep-id", "app_id": "app-id", "status": status, "type": "manual", "trigger": "MANUAL_DEPLOY",
        "steps": ["rollout"], "docker_image_url": "nginx", "git_type": null, "repo_url": null, "branch": null,
        "commit_sha": null, "commit_message": null, "author_login": null, "author_img": null, "started_at": null,
        "finished_at": null, "created_at": "t", "updated_at": "t", "failure": failure, "progress": progress
    })
}

fn web_process() -> Value {
    json!({
        "id": "proc-id", "app_id": "app-id", "key": "web", "type": "web", "display_name": null, "entrypoint": "",
        "port": 8080, "is_ingress_enabled": true, "ingress_protocol": "http", "scaling_strategy": null,
        "resource_type_id": null, "resource_type_name": null, "cpu_limit": null, "memory_limit": null,
        "schedule": null, "time_zone": null, "job_start_policy": null, "liveness_probe": null,
        "readiness_probe": null, "internal_hostname": null, "created_at": "t", "updated_at": "t"
    })
}

/// A server whose application `web` is there when `exists`, answers at `url`, and whose deployments are asked for
/// three times before they end as `end`.
fn platform(exists: bool, url: String, end: Value) -> Server {
    let asked = AtomicUsize::new(0);
    Server::start(move |request: &Request| {
        let (path, _) = request.line.split_once('?').unwrap_or((&request.line, ""));
        match path {
            "GET /v3/applications" if !exists => page(&[]),
            "GET /v3/applications" => page(&[application(&url)]),
            "GET /v3/resources/clusters" => {
                ok(json!([{"id": "cl", "name": "local", "display_name": null, "location": "here"}]))
            }
            "POST /v3/applications" => (201, "", application(&url).to_string()),
            "GET /v3/applications/app-id" | "PATCH /v3/applications/app-id" => ok(application(&url)),
            "GET /v3/applications/app-id/processes" => page(&[web_process()]),
            "PATCH /v3/applications/app-id/processes/proc-id" => ok(web_process()),
            "GET /v3/applications/app-id/env-vars" => page(&[json!({
                "id": "var-id", "app_id": "app-id", "key": "OLD", "value": "canary-old", "is_runtime": true,
                "is_buildtime": true, "created_at": "t", "updated_at": "t"})]),
            "POST /v3/applications/app-id/env-vars" | "PUT /v3/applications/app-id/env-vars/var-id" => {
                ok(json!({
                "id": "v", "app_id": "app-id", "key": "K", "value": "v", "is_runtime": true, "is_buildtime": true,
                "created_at": "t", "updated_at": "t"}))
            }
            "POST /v3/applications/app-id/deployments" => ok(deployment("waiting", Value::Null)),
            "GET /v3/applications/app-id/deployments/dep-id" => match asked.fetch_add(1, Ordering::SeqCst) {
                0 | 1 => ok(deployment("inProgress", Value::Null)),
                _ => ok(end.clone()),
            },
            "DELETE /v3/applications/app-id" => ok(json!({"message": "web is removed"})),
            _ => (404, "", json!({"message": format!("not here: {path}"), "status": 404}).to_string()),
        }
    })
}

#[test]
fn a_deploy_makes_the_application_and_ends_with_its_url() {
    let site = Server::start(|_| (503, "", "any answer counts".into()));
    let server = platform(false, site.url(), deployment("success", Value::Null));
    let arguments =
        ["deploy", "web", "--image", "nginx", "--port", "80", "--env", "K=a=b", "--env", "OLD=new"];
    let ended = User::of(&server).run(&arguments);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let url = site.url();
    let expected = [
        "waiting",
        "image has 1 layer, 5.0 MB",
        "layer 0123456789ab pulled, 5.0 MB",
        "pulling",
        "deployed",
        &url,
    ];
    assert_eq!(ended.stdout.lines().collect::<Vec<_>>(), expected);
    assert_eq!(site.requests().len(), 1, "one answer is enough");
    assert_eq!(
        sent(&server, "POST /v3/applications"),
        json!({"display_name": "web", "cluster_id": "cl", "source": "dockerImage", "docker_image": "nginx"})
    );
    assert_eq!(sent(&server, "PATCH /v3/applications/app-id/processes/proc-id"), json!({"port": 80}));
    assert_eq!(sent(&server, "POST /v3/applications/app-id/env-vars"), json!({"key": "K", "value": "a=b"}));
    assert_eq!(
        sent(&server, "PUT /v3/applications/app-id/env-vars/var-id"),
        json!({"value": "new", "is_runtime": true})
    );
    assert_eq!(sent(&server, "POST /v3/applications/app-id/deployments"), json!({}));
    assert!(
        server.requests().iter().all(|request| request.header("authorization") == Some("Bearer canary-key"))
    );
}

#[test]
fn a_redeploy_changes_only_what_differs() {
    let site = Server::start(|_| (200, "", String::new()));
    let server = platform(true, site.url(), deployment("success", Value::Null));
    let ended = User::of(&server).run(&["deploy", "web", "--image", "nginx", "--port", "8080", "--json"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let told = ended.json();
    assert_eq!(
        (&told["url"], &told["app"]["name"], &told["deployment"]["status"]),
        (&json!(site.url()), &json!("web"), &json!("success"))
    );
    let changes: Vec<_> =
        server.requests().into_iter().filter(|request| !request.line.starts_with("GET")).collect();
    assert_eq!(changes.len(), 1, "{changes:#?}");

    User::of(&server).run(&["deploy", "web", "--image", "nginx:2", "--no-wait"]);
    assert_eq!(sent(&server, "PATCH /v3/applications/app-id"), json!({"docker_image": "nginx:2"}));
}

#[test]
fn not_waiting_prints_the_deployment_and_the_url() {
    let server = platform(true, "http://web.localhost:1/".into(), Value::Null);
    let ended = User::of(&server).run(&["deploy", "web", "--no-wait"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "dep-id\nhttp://web.localhost:1/\n"));
}

#[test]
fn a_failed_deploy_tells_cause_hint_and_last_lines() {
    let failure = json!({
        "during": "health", "code": "port_not_listening", "message": "nothing listens on port 8080",
        "hint": "it listens on 127.0.0.1:3000, not on 0.0.0.0", "exit_code": 3, "log_tail": ["one", "t\u{1b}[2Jwo"]
    });
    let server = platform(true, "http://web.localhost:1/".into(), deployment("failed", failure));
    let ended = User::of(&server).run(&["deploy", "web"]);
    assert_eq!(ended.code, 1);
    assert_eq!(
        ended.stderr,
        "error: deploying web failed: nothing listens on port 8080\n\
         hint: it listens on 127.0.0.1:3000, not on 0.0.0.0\n\
         cause: port_not_listening (during health)\n\
         exit code: 3\n\
         last log lines:\n\
         \x20 | one\n\
         \x20 | two\n\
         the version of web that was deployed before still serves\n"
    );
    assert!(!ended.stdout.contains("http://"), "{}", ended.stdout);
}

#[test]
fn a_url_that_only_the_ingress_answers_is_no_success() {
    let ingress = Server::start(|_| (404, "darsena-ingress: no-route\r\n", String::new()));
    let server = platform(true, ingress.url(), deployment("success", Value::Null));
    let ended = User::of(&server).run(&["deploy", "web"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.starts_with("error: web is deployed, but http://"), "{}", ended.stderr);
    assert!(ended.stderr.contains("\nhint: "), "{}", ended.stderr);
    assert!(ended.stdout.ends_with("deployed\n"), "{}", ended.stdout);
}

#[test]
fn wrong_usage_is_told_before_any_request() {
    let server = platform(true, String::new(), Value::Null);
    for arguments in [
        &["deploy", "My App", "--image", "nginx"][..],
        &["deploy", "web", "--port", "0"],
        &["deploy", "web", "--port", "65536"],
        &["deploy", "web", "--env", "canary"],
        &["deploy", "web", "--health-path", "up"],
        &["env", "web", "set"],
        &["logs", "web", "--lines", "0"],
        &["nonsense"],
    ] {
        let ended = User::of(&server).run(arguments);
        assert_eq!(ended.code, 2, "{arguments:?}");
        assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    }
    assert!(server.requests().is_empty());
}

#[test]
fn how_an_application_runs_is_set_with_the_deployment_or_later() {
    let site = Server::start(|_| (200, "", String::new()));
    let options =
        ["--instances", "3", "--health-path", "/up", "--health-status", "204", "--liveness-path", "/alive"];
    let expected = json!({
        "scaling_strategy": {"type": "manual", "config": {"instanceCount": 3}},
        "liveness_probe": {"httpGet": {"path": "/alive"}},
        "readiness_probe": {"httpGet": {"path": "/up", "expectedStatus": 204}},
    });
    let patch = "PATCH /v3/applications/app-id/processes/proc-id";
    for (words, last) in
        [(["deploy", "web"].as_slice(), site.url()), (&["apps", "update", "web"], NEXT.into())]
    {
        let server = platform(true, site.url(), deployment("success", Value::Null));
        let ended = User::of(&server).run(&[words, &options].concat());
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
        assert_eq!(sent(&server, patch), expected);
        assert_eq!(ended.stdout.lines().last(), Some(last.as_str()), "{}", ended.stdout);
    }
    let server = platform(true, site.url(), Value::Null);
    let changed = User::of(&server).run(&["apps", "update", "web", "--protocol", "grpc"]);
    assert_eq!((changed.code, sent(&server, patch)), (0, json!({"ingress_protocol": "grpc"})));

    let server = platform(true, site.url(), Value::Null);
    let user = User::of(&server);
    let refused = user.run(&["deploy", "web", "--protocol", "grpc"]);
    assert!(refused.code == 1 && refused.stderr.contains("counts at once"), "what serves would be lost");
    let same = user.run(&["apps", "update", "web", "--protocol", "http", "--no-health"]);
    assert_eq!((same.code, same.stdout.as_str()), (0, "nothing changes: it is that way already\n"));
    assert_eq!(user.run(&["apps", "update", "web"]).code, 2);
    for bad in
        [["--instances", "0"], ["--instances", "51"], ["--health-status", "600"], ["--protocol", "tcp"]]
    {
        assert_eq!(user.run(&[&["apps", "update", "web"][..], &bad].concat()).code, 2, "{bad:?}");
    }
    assert!(server.requests().iter().all(|request| !request.line.starts_with("PATCH")));
}

/// What is said after a change that does not count at once.
const NEXT: &str = "saved; it counts from the next deployment: darsena deploy web";

#[test]
fn an_application_that_is_not_there_is_named() {
    let server = platform(false, String::new(), Value::Null);
    let ended = User::of(&server).run(&["apps", "show", "web"]);
    assert_eq!(ended.code, 1);
    assert_eq!(
        ended.stderr,
        "error: there is no application named web\nhint: `darsena apps list` shows those there are\n"
    );
    let ended = User::of(&server).run(&["deploy", "web"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("--image REF"), "{}", ended.stderr);
}

#[test]
fn deleting_asks_for_a_yes() {
    let server = platform(true, String::new(), Value::Null);
    let ended = User::of(&server).run(&["apps", "delete", "web"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("--yes"), "{}", ended.stderr);
    assert!(!server.requests().iter().any(|request| request.line.starts_with("DELETE")));
    let ended = User::of(&server).run(&["apps", "delete", "web", "--yes"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "web is removed\n"));
}

#[test]
fn setup_makes_the_account_and_signs_in() {
    let server = Server::start(|request| match request.line.as_str() {
        "POST /v3/setup" => ok(json!({"company_id": "c", "user_id": "u",
            "api_key": {"id": "k", "name": "setup", "token": "canary-key"}})),
        _ => page(&[]),
    });
    let user = User::new();
    let data = user.home.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let (url, folder) = (server.url(), data.to_str().unwrap().to_owned());
    let arguments = [
        "setup",
        "--url",
        &url,
        "--data",
        &folder,
        "--email",
        "a@b.example",
        "--company",
        "Acme",
        "--password-stdin",
    ];

    let ended = user.run_with(&arguments, "long password\n");
    assert_eq!(ended.code, 1);
    assert!(
        ended.stderr.contains("setup-token cannot be read") && ended.stderr.contains("hint: "),
        "{}",
        ended.stderr
    );
    assert!(server.requests().is_empty());

    std::fs::write(data.join("setup-token"), "once\n").unwrap();
    let ended = user.run_with(&arguments, "long password\n");
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "canary-key\n"));
    assert_eq!(
        sent(&server, "POST /v3/setup"),
        json!({"setup_token": "once", "email": "a@b.example", "password": "long password", "company": "Acme"})
    );
    assert_eq!(server.requests()[0].header("authorization"), None);
    let file = user.home.path().join(".config/darsena/cli.json");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let told = user.run_with(&[&arguments[..], &["--json"]].concat(), "long password").json();
    assert_eq!(
        (&told["url"], &told["api_key"], &told["company_id"]),
        (&json!(url), &json!("canary-key"), &json!("c"))
    );

    assert_eq!(user.run(&["apps", "list"]).code, 0);
    let requests = server.requests();
    assert_eq!(requests.last().unwrap().header("authorization"), Some("Bearer canary-key"));

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ended = user.run(&["apps", "list"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("chmod 600"), "{}", ended.stderr);
    assert_eq!(server.requests().len(), requests.len());
}

#[test]
fn without_a_server_the_error_says_how_to_name_one() {
    let mut user = User::new();
    let ended = user.run(&["apps", "list"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("DARSENA_URL and DARSENA_TOKEN"), "{}", ended.stderr);

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    user.variables = vec![("DARSENA_URL", format!("http://{free}")), ("DARSENA_TOKEN", "canary-key".into())];
    let ended = user.run(&["apps", "list"]);
    assert_eq!(ended.code, 1);
    assert_eq!(
        ended.stderr,
        format!(
            "error: cannot reach http://{free}: connection refused\nhint: is `darsena serve` running there?\n"
        )
    );

    user.variables[0].1 = "http://darsena.example.com".into();
    let ended = user.run(&["apps", "list"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.starts_with("error: plain http would send the key unencrypted"), "{}", ended.stderr);
}

#[test]
fn texts_of_the_server_cannot_steer_the_terminal() {
    let server = Server::start(|_| {
        let mut row = application("http://x/\u{1b}]0;title\u{7}");
        row["name"] = json!("we\u{1b}[2Jb\u{202e}");
        page(&[row])
    });
    let user = User::of(&server);
    for arguments in [&["apps", "list"][..], &["apps", "list", "--json"]] {
        let ended = user.run(arguments);
        assert_eq!(ended.code, 0);
        assert!(
            ended.stdout.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'),
            "{:?}",
            ended.stdout
        );
    }
}

#[test]
fn a_reader_that_left_is_no_error() {
    let server = platform(true, String::new(), Value::Null);
    let mut child = User::of(&server)
        .command(&["apps", "list"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), b"".as_slice()));
}

#[test]
fn variables_are_hidden_and_may_come_by_stdin() {
    let server = platform(true, String::new(), Value::Null);
    let user = User::of(&server);
    for arguments in [&["env", "web"][..], &["env", "web", "list", "--json"]] {
        let ended = user.run(arguments);
        assert_eq!(ended.code, 0);
        assert!(ended.stdout.contains("OLD") && !ended.stdout.contains("canary"), "{}", ended.stdout);
    }
    assert!(user.run(&["env", "web", "list", "--show"]).stdout.contains("canary-old"));
    let ended = user.run_with(&["env", "web", "set", "--stdin"], "# a comment\nSECRET=a b\n\n");
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "changed: SECRET\n"));
    assert!(ended.stderr.contains("next deployment"), "{}", ended.stderr);
    assert_eq!(
        sent(&server, "POST /v3/applications/app-id/env-vars"),
        json!({"key": "SECRET", "value": "a b"})
    );
    assert_eq!(user.run(&["env", "web", "unset", "NOPE"]).code, 1);
}

#[test]
fn the_doctor_fails_when_something_is_wrong() {
    let server =
        Server::start(|_| (401, "", json!({"message": "this key is not valid", "status": 401}).to_string()));
    let ended = User::new().run(&["doctor", "--data", "/x/good"]);
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    let ended = User::new().run(&["doctor", "--data", "/x/bad"]);
    assert_eq!(ended.code, 1);
    assert!(
        ended.stdout.contains("FAILED  runc") && ended.stdout.contains("apt install runc"),
        "{}",
        ended.stdout
    );
    let ended = User::of(&server).run(&["doctor", "--data", "/x/good", "--json"]);
    assert_eq!(ended.code, 1);
    let checks = ended.json();
    assert_eq!(
        (&checks[1]["ok"], &checks[2]["name"], &checks[2]["ok"]),
        (&json!(true), &json!("key"), &json!(false))
    );
}

#[test]
fn an_image_is_loaded_by_the_machine_itself() {
    let user = User::new();
    let ended = user.run(&["images", "load", "hello.tar", "localhost/hello:1"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "localhost/hello:1 (sha256:aa)\n"));
    let ended = user.run(&["images", "load", "missing", "localhost/hello:1"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (1, "error: there is no file missing\n"));
}
