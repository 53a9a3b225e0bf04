//! Paths, methods, bodies, headers: what holds for every request.

use std::time::{Duration, Instant};

use api::{ApiConfig, Rate};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use model::access::Role;
use serde_json::{Value, json};

use crate::server::{Server, new_app, text};

fn request(method: &str, path: &str, key: Option<&str>) -> http::request::Builder {
    let request = Request::builder().method(method).uri(path);
    match key {
        Some(key) => request.header("authorization", format!("Bearer {key}")),
        None => request,
    }
}

fn empty() -> Full<Bytes> {
    Full::new(Bytes::new())
}

#[tokio::test]
async fn a_repeated_prefix_is_dropped_once() {
    let server = Server::start().await;
    for (path, status) in [
        ("/v3/applications", 200),
        ("/v3/v3/applications", 200),
        ("/v3/v3/v3/applications", 404),
        ("/applications", 404),
        ("/v2/applications", 404),
    ] {
        let ask = request("GET", path, Some(&server.owner)).body(empty()).unwrap();
        assert_eq!(server.raw(ask).await.status, status, "{path}");
    }
}

/// A9: what is no address is refused before anybody is asked for a key.
#[tokio::test]
async fn unknown_addresses_and_methods_are_refused_first() {
    let server = Server::start().await;
    let id = text(&server.app("shop").await["id"]);
    for path in [
        "/",
        "/v3",
        "/v3/",
        "/v3//applications",
        "//v3/applications",
        "/v3/applications/",
        "/v3/nothing",
        "/v3/applications/../api-keys",
        "/v3/applications/%2e%2e/api-keys",
        "/v3/applications/x",
        "/v3/applications/%2e%2e",
        "/v3/applications;x",
        &format!("/v3/applications/{id};x"),
        &format!("/v3/applications/{id}%00"),
        "/v3/applications/%ff",
        "/v3/docker-registries/x",
    ] {
        let reply = server.raw(request("GET", path, None).body(empty()).unwrap()).await;
        assert_eq!(reply.status, 404, "{path}");
    }
    for (method, path) in
        [("PUT", "/v3/applications"), ("DELETE", "/v3/api-keys/me"), ("PATCH", "/v3/v3/projects")]
    {
        let reply = server.raw(request(method, path, None).body(empty()).unwrap()).await;
        assert_eq!(reply.refused(405), "method_not_allowed", "{method} {path}");
    }
    let overridden = request("GET", &format!("/v3/applications/{id}"), Some(&server.owner))
        .header("x-http-method-override", "DELETE")
        .body(empty())
        .unwrap();
    assert_eq!(server.raw(overridden).await.status, 200);
    server.get(&format!("/applications/{id}")).await.expect(200);
}

#[tokio::test]
async fn a_body_is_bounded_and_its_type_is_not_asked_for() {
    let server = Server::start().await;
    let post = |body: Vec<u8>, kind: Option<&'static str>| {
        let mut ask = request("POST", "/v3/projects", Some(&server.owner));
        if let Some(kind) = kind {
            ask = ask.header("content-type", kind);
        }
        server.raw(ask.body(Full::new(Bytes::from(body))).unwrap())
    };
    let good = br#"{"display_name": "a"}"#.to_vec();
    post(good.clone(), None).await.expect(201);
    post(good.clone(), Some("text/plain")).await.expect(201);
    assert_eq!(post(vec![b' '; 1024 * 1024 + 1], None).await.refused(413), "body_too_large");
    let deep = format!("{{\"display_name\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for bad in
        [deep.into_bytes(), b"{".to_vec(), b"\xff\xfe".to_vec(), b"[]".to_vec(), Vec::new(), vec![0x1f, 0x8b]]
    {
        assert_eq!(post(bad, None).await.refused(400), "validation_failed");
    }
    let many: String = (0..20_000).map(|n| format!("\"k{n}\": 1, ")).collect();
    post(format!("{{{many}\"display_name\": \"b\"}}").into_bytes(), None).await.expect(201);
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let server = Server::start().await;
    for path in ["/v3/health", "/v3/applications", "/nothing"] {
        let reply = server.raw(request("GET", path, None).body(empty()).unwrap()).await;
        assert_eq!(reply.headers["cache-control"], "no-store", "{path}");
        assert_eq!(reply.headers["x-content-type-options"], "nosniff");
        assert_eq!(reply.headers["content-type"], "application/json");
        assert!(reply.headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
        assert!(!reply.headers.contains_key("access-control-allow-origin"));
    }
}

#[tokio::test]
async fn a_panic_and_a_fault_show_an_id_and_nothing_else() {
    let server = Server::start().await;
    for name in ["panics", "broken"] {
        let image = json!({"docker_image": format!("registry.test/{name}")});
        let body = server.post("/images/inspect", image).await.expect(500);
        assert_eq!(body["data"]["code"], "internal_error");
        assert!(!body.to_string().contains("canary"), "{body}");
        let id = body["data"]["message"].as_str().unwrap().split_whitespace().last().unwrap();
        assert!(uuid::Uuid::parse_str(id.trim_end_matches('.')).is_ok(), "{body}");
    }
    server.get("/applications").await.expect(200);
}

#[tokio::test]
async fn a_key_that_asks_too_often_is_told_when_to_come_back() {
    let mut server =
        Server::with(ApiConfig { rate: Rate { per_second: 0.1, burst: 3.0 }, ..ApiConfig::default() });
    let body = json!({
        "setup_token": server.setup_token().await, "email": "a@b", "password": "correct horse", "company": "A",
    });
    let done = server.send("POST", "/setup", None, Some(body)).await.expect(201);
    server.owner = text(&done["api_key"]["token"]);
    for _ in 0..3 {
        server.get("/applications").await.expect(200);
    }
    let reply =
        server.raw(request("GET", "/v3/applications", Some(&server.owner)).body(empty()).unwrap()).await;
    let wait: u64 = reply.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=10).contains(&wait), "{wait}");
    assert_eq!(reply.refused(429), "too_many_requests");
}

/// A11: guessing gets slow, and who shares the address with the one that guesses is not held up.
#[tokio::test]
async fn wrong_keys_are_answered_late_and_right_ones_are_not() {
    let mut server =
        Server::with(ApiConfig { wrong_keys: Rate { per_second: 0.1, burst: 1.0 }, ..ApiConfig::default() });
    let body = json!({
        "setup_token": server.setup_token().await, "email": "a@b", "password": "correct horse", "company": "A",
    });
    let done = server.send("POST", "/setup", None, Some(body)).await.expect(201);
    server.owner = text(&done["api_key"]["token"]);
    let wrong = format!("dars_{}", "ab".repeat(32));
    let guess = || server.send("GET", "/applications", Some(&wrong), None);
    guess().await.expect(401);
    let before = Instant::now();
    let guessed = async {
        guess().await.expect(401);
        before.elapsed()
    };
    let asked = async {
        server.get("/applications").await.expect(200);
        before.elapsed()
    };
    let (guessed, asked) = tokio::join!(guessed, asked);
    assert!(guessed >= Duration::from_secs(1) && asked < guessed, "{guessed:?}, {asked:?}");
}

/// A33: every write leaves a row, refused ones too, and no row holds what was sent.
#[tokio::test]
async fn every_write_is_written_down() {
    let server = Server::start().await;
    let (viewer, viewer_key) = server.key(&[Role::Viewer], json!([])).await;
    let app = server.app("shop").await;
    let id = text(&app["id"]);
    let var = json!({"key": "K", "value": "canary-in-a-variable"});
    server.post(&format!("/applications/{id}/env-vars"), var).await.expect(201);
    server.post("/applications", new_app("shop", "nginx")).await.expect(400);
    server.send("DELETE", &format!("/applications/{id}"), Some(&viewer_key), None).await.expect(403);
    server.get(&format!("/applications/{id}")).await.expect(200);

    let company = text(&app["company_id"]).parse().unwrap();
    let listed = server.store.company(company).audit(store::Page { limit: 100, offset: 0 }).await.unwrap();
    let owner = text(&server.get("/api-keys/me").await.expect(200)["id"]);
    let rows: Vec<_> =
        listed.rows.iter().rev().map(|row| (row.actor.as_str(), row.action.as_str())).collect();
    let expected: [(&str, &str); 5] = [
        (&owner, "createApiKey"),
        (&owner, "createApplication"),
        (&owner, "createEnvVar"),
        (&owner, "createApplication refused with 400"),
        (&viewer, "deleteApplication refused with 403"),
    ];
    assert_eq!(rows, expected);
    assert_eq!(listed.rows[3].target, id, "a new record's id is its target");
    assert!(!format!("{listed:?}").contains("canary"));
    assert_eq!(Value::Null, json!(listed.rows[0].ip), "no connection, no address");
}
