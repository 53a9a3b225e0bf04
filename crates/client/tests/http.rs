//! The client against a server of the test's own.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use client::{Client, Error, LogQuery, NoAnswer, PlainHttp, Server as Address, Verify, reach};
use serde_json::json;
use support::Server;
use wire::{CreateDockerRegistry, CredentialUser, RollbackDeployment, Secret, TriggerDeployment};

fn client(server: &str) -> Client {
    // Installed once a process; every further call is refused and harmless.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let address = Address::parse(server, PlainHttp::LoopbackOnly).unwrap();
    Client::new(address, Some(&Secret::from("canary-key"))).unwrap()
}

fn row(n: u64) -> serde_json::Value {
    json!({
        "id": format!("id-{n}"), "name": format!("app-{n}"), "display_name": "App", "status": null, "type": "app",
        "source": "dockerImage", "is_suspended": false, "created_at": "t", "updated_at": "t"
    })
}

#[tokio::test]
async fn a_list_is_read_to_its_end() {
    let server = Server::start(|request| {
        let offset: u64 = request.line.rsplit("offset=").next().unwrap().parse().unwrap();
        let rows: Vec<_> = (offset..(offset + 100).min(230)).map(row).collect();
        (200, "", json!({"data": rows, "total": 230, "offset": offset, "limit": 100}).to_string())
    });
    let applications = client(&server.url()).applications().await.unwrap();
    assert_eq!(applications.len(), 230);
    assert_eq!(applications[229].name, "app-229");
    let lines: Vec<_> = server.requests().into_iter().map(|request| request.line).collect();
    assert_eq!(
        lines,
        [
            "GET /v3/applications?limit=100&offset=0",
            "GET /v3/applications?limit=100&offset=100",
            "GET /v3/applications?limit=100&offset=200"
        ]
    );
}

#[tokio::test]
async fn a_request_is_signed_and_its_path_escaped() {
    let server =
        Server::start(|_| (404, "", json!({"message": "no such application", "status": 404}).to_string()));
    let error = client(&server.url()).application("../secret?x").await.unwrap_err();
    assert_eq!(error.to_string(), "no such application");
    let request = &server.requests()[0];
    assert_eq!(request.line, "GET /v3/applications/..%2Fsecret%3Fx");
    assert_eq!(request.header("authorization"), Some("Bearer canary-key"));
    assert!(!format!("{error:?} {:?}", client(&server.url())).contains("canary"));
}

#[tokio::test]
async fn a_refusal_keeps_the_servers_words() {
    let server = Server::start(|_| {
        let data = json!({"code": "platform_missing", "message": "build it for linux/amd64",
                          "available_platforms": ["linux/arm64"]});
        (422, "Retry-After: 7\r\n", json!({"message": "no variant", "status": 422, "data": data}).to_string())
    });
    let error =
        client(&server.url()).trigger_deployment("a", &TriggerDeployment::default()).await.unwrap_err();
    assert_eq!(error.hint().as_deref(), Some("build it for linux/amd64"));
    let refusal = error.refusal().unwrap();
    assert_eq!((refusal.status, refusal.code.as_deref()), (422, Some("platform_missing")));
    assert_eq!(
        (refusal.retry_after, refusal.available_platforms.as_slice()),
        (Some(7), ["linux/arm64".into()].as_slice())
    );
}

#[tokio::test]
async fn a_deployment_is_asked_for_again_under_its_key_when_the_connection_breaks() {
    let count = AtomicUsize::new(0);
    let deployment = json!({
        "id": "d", "app_id": "a", "status": "waiting", "type": "manual", "trigger": null, "steps": [],
        "docker_image_url": null, "git_type": null, "repo_url": null, "branch": null, "commit_sha": null,
        "commit_message": null, "author_login": null, "author_img": null, "started_at": null, "finished_at": null,
        "created_at": "t", "updated_at": "t"
    });
    let server = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 | 3 | 4 => (0, "", String::new()),
        _ => (200, "", deployment.to_string()),
    });
    let client = client(&server.url());
    client.trigger_deployment("a", &TriggerDeployment::default()).await.unwrap();
    client.trigger_deployment("a", &TriggerDeployment::default()).await.unwrap();
    let error = client.rollback_deployment("a", &RollbackDeployment::default()).await.unwrap_err();
    assert!(matches!(error, Error::NoAnswer { .. }), "once more, then the error: {error}");

    let requests = server.requests();
    let keys: Vec<_> = requests.iter().map(|request| request.header("idempotency-key").unwrap()).collect();
    assert!(keys.iter().all(|key| key.len() == 38 && key.starts_with('"') && key.ends_with('"')), "{keys:?}");
    assert_eq!((keys.len(), keys[0], keys[3]), (5, keys[1], keys[4]));
    assert!(keys[1] != keys[2] && keys[2] != keys[3], "a fresh one for each command: {keys:?}");
    assert_eq!(requests[0].body, requests[1].body);
}

#[tokio::test]
async fn what_was_refused_is_not_asked_for_again() {
    let server = Server::start(|_| (409, "", json!({"message": "no", "status": 409}).to_string()));
    client(&server.url()).trigger_deployment("a", &TriggerDeployment::default()).await.unwrap_err();
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_login_is_tried_first_only_when_asked_and_its_token_is_in_no_error() {
    let server = Server::start(|_| {
        let data = json!({"code": "credential_rejected", "message": "make a new token"});
        (422, "", json!({"message": "ghcr.io said no", "status": 422, "data": data}).to_string())
    });
    let body = CreateDockerRegistry { secret: "canary-token".into(), ..Default::default() };
    for verify in [Verify::First, Verify::Later] {
        let error = client(&server.url()).create_registry(&body, verify).await.unwrap_err();
        assert!(!format!("{error:?} {error} {body:?}").contains("canary"), "{error:?}");
    }
    let requests = server.requests();
    assert_eq!(requests[0].line, "POST /v3/docker-registries?verify=true");
    assert_eq!(requests[1].line, "POST /v3/docker-registries");
    assert!(requests.iter().all(|request| request.body.contains("canary-token")));
}

#[tokio::test]
async fn a_credential_in_use_comes_with_its_applications() {
    let server = Server::start(|_| {
        let data =
            json!({"code": "docker_registry_in_use", "applications": [{"id": "a", "display_name": "shop"}]});
        (409, "", json!({"message": "in use", "status": 409, "data": data}).to_string())
    });
    let error = client(&server.url()).delete_registry("x", false).await.unwrap_err();
    let shop = CredentialUser { id: "a".into(), display_name: "shop".into() };
    assert_eq!(error.refusal().unwrap().applications, [shop]);
    client(&server.url()).delete_registry("x", true).await.unwrap_err();
    let lines: Vec<_> = server.requests().into_iter().map(|request| request.line).collect();
    assert_eq!(lines, ["DELETE /v3/docker-registries/x", "DELETE /v3/docker-registries/x?force=true"]);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::start(|_| (200, "", "[]".into()));
    let location = elsewhere.url();
    let header: &'static str =
        Box::leak(format!("location: {location}/v3/resources/clusters\r\n").into_boxed_str());
    let server = Server::start(move |_| (307, header, String::new()));
    let error = client(&server.url()).clusters().await.unwrap_err();
    assert!(matches!(error, Error::NotTheApi { .. }), "{error}");
    assert!(elsewhere.requests().is_empty(), "the key went elsewhere");
}

#[tokio::test]
async fn what_is_not_the_api_is_said_to_be_so() {
    for (status, body) in [(200, "<html>"), (502, "bad gateway")] {
        let server = Server::start(move |_| (status, "", body.into()));
        let error = client(&server.url()).clusters().await.unwrap_err();
        assert!(matches!(error, Error::NotTheApi { .. }), "{error}");
        assert!(error.to_string().contains(&status.to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_named() {
    // Bound and not listening, so that nobody else gets the port and listens there.
    let bound = tokio::net::TcpSocket::new_v4().unwrap();
    bound.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let free = bound.local_addr().unwrap();
    let error = client(&format!("http://{free}")).clusters().await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot reach http://{free}: connection refused"));
    assert_eq!(error.hint().as_deref(), Some("is `darsena serve` running there?"));
    assert!(error.is_passing());
}

#[tokio::test]
async fn a_log_filter_is_the_json_of_a_list() {
    let server = Server::start(|_| (200, "", "[]".into()));
    let query = LogQuery { from: None, limit: Some(5), containing: Some("a&b".into()) };
    client(&server.url()).runtime_logs("x", &query).await.unwrap();
    let line = &server.requests()[0].line;
    let (_, query) = line.split_once('?').unwrap();
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    assert_eq!(pairs[0], ("limit".into(), "5".into()));
    assert_eq!(
        pairs[1],
        ("filters".into(), r#"[{"key":"message","operator":"CONTAINS","value":"a&b"}]"#.into())
    );
}

#[tokio::test]
async fn an_application_answers_with_any_status_but_not_through_the_ingress_own_errors() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let own = Server::start(|_| (500, "", "mine".into()));
    let url = format!("http://hello.localhost:{}/", own.address.port());
    assert_eq!(reach(&url, Duration::from_secs(5)).await, Ok(500));
    let request = &own.requests()[0];
    assert_eq!(request.header("host"), Some(format!("hello.localhost:{}", own.address.port()).as_str()));
    assert_eq!(request.header("authorization"), None);

    let ingress = Server::start(|_| (404, "darsena-ingress: no-route\r\n", "nothing here".into()));
    let answer = reach(&ingress.url(), Duration::from_secs(5)).await;
    assert!(matches!(answer, Err(NoAnswer::Ingress { status: 404, .. })), "{answer:?}");
}
