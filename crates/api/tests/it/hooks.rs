//! The deployment hook: a secret address that deploys and does nothing else.

use api::{ApiConfig, Rate};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use model::Trigger;
use model::git::Revision;
use serde_json::{Value, json};

use crate::server::{Reply, Server, quick, text};

struct Hook {
    server: Server,
    app: String,
    path: String,
}

impl Hook {
    async fn of(server: Server, app: Value) -> Self {
        let app = text(&app["id"]);
        let path = format!("/applications/{app}/deployment-hook");
        let hook = Self { server, app, path };
        hook.server.call("POST", &hook.path, None).await.expect(201);
        hook
    }

    async fn new() -> Self {
        let server = Server::start().await;
        let app = server.app("shop").await;
        Self::of(server, app).await
    }

    async fn url(&self) -> String {
        text(&self.server.get(&self.path).await.expect(200)["url"])
    }

    /// Calls the address of now with a body.
    async fn call(&self, query: &str, body: &str) -> Reply {
        let url = format!("{}{query}", self.url().await);
        self.send(Request::post(path(&url)), body).await
    }

    async fn send(&self, request: http::request::Builder, body: &str) -> Reply {
        let body = Full::new(Bytes::from(body.to_owned()));
        let request = request.body(body).unwrap();
        let path = request.uri().to_string();
        let reply = self.server.raw(request).await;
        self.server.judge("POST", path.strip_prefix("/v3").unwrap_or(&path), &reply);
        reply
    }

    fn count(&self) -> usize {
        self.server.platform.requests.lock().unwrap().len()
    }
}

fn path(url: &str) -> &str {
    url.strip_prefix("http://localhost").expect("the server's own address")
}

#[tokio::test]
async fn whoever_knows_the_address_deploys() {
    let hook = Hook::new().await;
    let url = hook.url().await;
    let secret = url.rsplit('/').next().unwrap().to_owned();
    assert!(secret.len() == 64 && secret.bytes().all(|byte| byte.is_ascii_hexdigit()), "{url}");
    assert!(hook.server.get(&hook.path).await.body["last_called_at"].is_null());
    let started = hook.call("", "").await.expect(200);
    let id = text(&started["deployment"]["id"]);
    let record = hook.server.get(&format!("/applications/{}/deployments/{id}", hook.app)).await.expect(200);
    assert_eq!((&record["trigger"], &record["type"]), (&json!("DEPLOY_HOOK"), &json!("manual")));
    assert_eq!(record["docker_image_url"], "registry.test/shop:1");
    assert!(hook.server.get(&hook.path).await.body["last_called_at"].is_string());
    // At the root as well, as the API file has it.
    let root = path(&url).strip_prefix("/v3").unwrap().to_owned();
    hook.send(Request::post(root), "").await.expect(200);
}

#[tokio::test]
async fn one_call_says_what_to_deploy() {
    let hook = Hook::new().await;
    let digest = crate::double::digest(9).to_string();
    for (query, body, image) in [
        ("", r#"{"tag": "2"}"#, "registry.test/shop:2".to_owned()),
        ("?docker_image_tag=3", "", "registry.test/shop:3".to_owned()),
        ("", &*json!({"digest": digest}).to_string(), format!("registry.test/shop@{digest}")),
        ("", r#"{"docker_image": "registry.test/other:1"}"#, "registry.test/other:1".to_owned()),
    ] {
        hook.call(query, body).await.expect(200);
        let asked = hook.server.platform.requests.lock().unwrap().last().cloned().unwrap();
        assert_eq!((asked.image, asked.trigger), (Some(image), Trigger::DeployHook), "{body}");
    }
    let before = hook.count();
    for body in [
        r#"{"tag": 2}"#,
        r#"{"tag": "a b"}"#,
        "{",
        r#"{"commit": "1111111111111111111111111111111111111111"}"#,
    ] {
        hook.call("", body).await.refused(400);
    }
    assert_eq!(hook.count(), before);

    let server = Server::start().await;
    let app = server.repository("built").await;
    let hook = Hook::of(server, app).await;
    let id = "1".repeat(40);
    for (body, revision) in [
        (json!({"branch": "next"}), Revision::Named("next".to_owned())),
        (json!({"tag": "v1"}), Revision::Named("v1".to_owned())),
        (
            json!({"commit": id, "branch": "next"}),
            Revision::Commit { id: id.clone(), branch: Some("next".to_owned()) },
        ),
    ] {
        hook.call("", &body.to_string()).await.expect(200);
        let asked = hook.server.platform.requests.lock().unwrap().last().cloned().unwrap();
        assert_eq!(asked.revision, Some(revision), "{body}");
    }
    hook.call("?docker_image_tag=1", "").await.refused(400);
}

#[tokio::test]
async fn a_wrong_secret_and_an_unknown_application_look_the_same() {
    let hook = Hook::new().await;
    let other = text(&hook.server.app("without").await["id"]);
    let url = hook.url().await;
    let secret = url.rsplit('/').next().unwrap();
    let mut wrong = secret.to_owned();
    wrong.replace_range(..1, if secret.starts_with('0') { "1" } else { "0" });
    let mut seen = Vec::new();
    for (app, secret) in [
        (&*hook.app, &*wrong),
        (&hook.app, "x"),
        (&hook.app, "%20"),
        (&hook.app, &secret.to_uppercase().replace(char::is_numeric, "A")),
        (&hook.app, &"ab".repeat(2000)),
        (&other, secret),
        ("3f2b8a1e-0000-4000-8000-000000000000", secret),
    ] {
        let reply = hook.send(Request::post(format!("/v3/apps/{app}/deploy/{secret}")), "").await;
        seen.push(reply.expect(404));
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "{seen:#?}");
    hook.send(Request::post("/v3/apps/x/deploy/y".to_owned()), "").await.refused(404);
    assert_eq!(hook.count(), 0);
    // Neither does a method that only looks start anything.
    let get = Request::get(path(&url)).body(Full::default()).unwrap();
    assert_eq!(hook.server.raw(get).await.status, 405);
}

#[tokio::test]
async fn an_old_address_stops_at_once() {
    let hook = Hook::new().await;
    let old = hook.url().await;
    let again = hook.server.call("POST", &hook.path, None).await.expect(201);
    assert_eq!(again["url"], json!(old), "switched on already");
    let new = text(&hook.server.call("PUT", &hook.path, None).await.expect(200)["url"]);
    assert_ne!(new, old);
    hook.send(Request::post(path(&old)), "").await.refused(404);
    hook.send(Request::post(path(&new)), "").await.expect(200);
    hook.server.call("DELETE", &hook.path, None).await.expect(204);
    hook.send(Request::post(path(&new)), "").await.refused(404);
    for method in ["GET", "PUT"] {
        hook.server.call(method, &hook.path, None).await.refused(404);
    }
    hook.server.call("DELETE", &hook.path, None).await.expect(204);
}

#[tokio::test]
async fn a_call_that_is_repeated_deploys_once() {
    let hook = Hook::new().await;
    let url = hook.url().await;
    let keyed = |key: &str| Request::post(path(&url)).header("idempotency-key", key);
    let first = hook.send(keyed("one"), r#"{"tag": "2"}"#).await.expect(200);
    assert_eq!(hook.send(keyed("one"), r#"{"docker_image_tag": "", "tag": "2"}"#).await.expect(200), first);
    assert_eq!(hook.count(), 1);
    assert_eq!(hook.send(keyed("one"), "").await.refused(422), "idempotency_key_reused");
    assert_ne!(hook.send(keyed("two"), r#"{"tag": "2"}"#).await.expect(200), first);
}

#[tokio::test]
async fn calls_without_end_are_held_up_and_the_secret_is_written_nowhere() {
    let slow = Rate { per_second: 0.01, burst: 2.0 };
    let server = Server::with(ApiConfig { hook_deployments: slow, ..quick() }).set_up().await;
    let app = server.app("shop").await;
    let hook = Hook::of(server, app).await;
    let url = hook.url().await;
    for _ in 0..2 {
        hook.send(Request::post(path(&url)), "").await.expect(200);
    }
    let refused = hook.send(Request::post(path(&url)), "").await;
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(refused.refused(429), "too_many_requests");
    assert_eq!(hook.count(), 2);
    hook.send(Request::post(format!("/v3/apps/{}/deploy/{}", hook.app, "ab".repeat(32))), "")
        .await
        .refused(404);

    let raw = rusqlite::Connection::open(hook.server.data.path().join("darsena.db")).unwrap();
    let mut rows =
        raw.prepare("SELECT actor, action, target FROM audit_log WHERE action LIKE 'callDep%'").unwrap();
    let rows: Vec<(String, String, String)> = rows
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let row = |action: &str| ("hook".to_owned(), action.to_owned(), hook.app.clone());
    let done = row("callDeploymentHook");
    assert_eq!(
        rows,
        [done.clone(), done, row("callDeploymentHook refused with 429")],
        "a guess is not written down"
    );
    let secret = url.rsplit('/').next().unwrap();
    for entry in std::fs::read_dir(hook.server.data.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
}

#[tokio::test]
async fn the_address_is_the_one_that_the_caller_knows() {
    let hook = Hook::new().await;
    for (headers, start) in [
        (&[("host", "darsena.example.com")][..], "http://darsena.example.com/v3/apps/"),
        (&[("host", "a.example:8443"), ("x-forwarded-proto", "https")], "https://a.example:8443/v3/apps/"),
        (&[("host", "a\"b")], "http://localhost/v3/apps/"),
    ] {
        let mut request = Request::get(format!("/v3{}", hook.path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.header("authorization", format!("Bearer {}", hook.server.owner));
        let reply = hook.server.raw(request.body(Full::default()).unwrap()).await.expect(200);
        assert!(text(&reply["url"]).starts_with(start), "{reply}");
    }
}
