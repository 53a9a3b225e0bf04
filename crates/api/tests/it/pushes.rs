//! A28: the push webhook believes only what is signed, and deploys each push once.

use std::convert::Infallible;
use std::task::Poll;
use std::time::Duration;

use api::{ApiConfig, Rate};
use bytes::Bytes;
use hmac::{Hmac, Mac};
use http::Request;
use http_body_util::{Full, StreamBody};
use hyper::body::{Body, Frame};
use hyper::service::Service;
use model::Trigger;
use model::git::{Commit, Revision};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::sync::oneshot;

use crate::server::{Reply, Server, quick, text};

const HEAD: &str = "7d1b31e74ee336d15cbd21741bc88a537ed063a0";

fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

fn request(app: &str, headers: &[(&str, &str)], body: String) -> Request<Full<Bytes>> {
    let mut request = Request::post(format!("/v3/hooks/push/{app}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(Bytes::from(body))).unwrap()
}

/// An event as GitHub sends it.
pub async fn send(server: &Server, app: &str, secret: &str, event: &str, body: String) -> Reply {
    let signature = signature(secret, &body);
    let headers = [("x-github-event", event), ("x-hub-signature-256", &*signature)];
    let reply = server.raw(request(app, &headers, body)).await;
    server.judge("POST", &format!("/hooks/push/{app}"), &reply);
    reply
}

struct Shop {
    server: Server,
    app: String,
    secret: String,
}

impl Shop {
    async fn of(server: Server) -> Self {
        let app = text(&server.repository("shop").await["id"]);
        let path = format!("/applications/{app}");
        server.patch(&path, json!({"auto_deploy": true})).await.expect(200);
        let made = server.call("POST", &format!("{path}/push-webhook"), None).await.expect(201);
        Self { secret: text(&made["secret"]), app, server }
    }

    async fn new() -> Self {
        Self::of(Server::start().await).await
    }

    async fn push(&self, body: &Value) -> Reply {
        send(&self.server, &self.app, &self.secret, "push", body.to_string()).await
    }

    async fn with(&self, headers: &[(&str, &str)], body: &Value) -> Reply {
        let reply = self.server.raw(request(&self.app, headers, body.to_string())).await;
        self.server.judge("POST", &format!("/hooks/push/{}", self.app), &reply);
        reply
    }

    async fn deployments(&self) -> Value {
        self.server.get(&format!("/applications/{}/deployments", self.app)).await.expect(200)
    }
}

fn payload(commit: &str) -> Value {
    let head = json!({"id": commit, "message": "More bread", "author": {"name": "Ada"},
                      "added": ["src/a"], "removed": [], "modified": []});
    json!({
        "ref": "refs/heads/main", "before": "1".repeat(40), "after": commit, "commits": [head], "head_commit": head,
        "repository": {"clone_url": "https://git.test/acme/shop.git", "default_branch": "main"},
    })
}

/// The branch goes from one commit to another.
fn step(before: &str, after: &str) -> Value {
    let mut body = payload(after);
    body["before"] = json!(before);
    body
}

#[tokio::test]
async fn a_push_deploys_its_commit_once() {
    let shop = Shop::new().await;
    let other = "2".repeat(40);
    let first = shop.push(&payload(HEAD)).await.expect(200);
    assert_eq!(first["status"], "deploying");
    let asked = shop.server.platform.requests.lock().unwrap().last().cloned().unwrap();
    let revision = Revision::Commit { id: HEAD.to_owned(), branch: Some("main".to_owned()) };
    let commit = Commit {
        id: HEAD.to_owned(),
        branch: Some("main".to_owned()),
        message: "More bread".to_owned(),
        author: "Ada".to_owned(),
    };
    assert_eq!(
        (asked.trigger, asked.revision, asked.commit),
        (Trigger::AutoDeployOnPush, Some(revision), Some(commit))
    );
    // Again, as a server does that heard no answer, and somebody who listened would.
    for _ in 0..3 {
        assert_eq!(shop.push(&payload(HEAD)).await.expect(200), first);
    }
    let all = shop.deployments().await;
    assert_eq!(all["total"], 1);
    let record = &all["data"][0];
    for (field, expected) in [
        ("type", "automatic"),
        ("trigger", "AUTO_DEPLOY_ON_PUSH"),
        ("branch", "main"),
        ("commit_sha", HEAD),
        ("commit_message", "More bread"),
        ("author_login", "Ada"),
    ] {
        assert_eq!(record[field], expected, "{field}");
    }
    let next = shop.push(&step(HEAD, &other)).await.expect(200);
    assert_ne!(next["deployment"], first["deployment"]);
    // What was pushed before does not come back by being told of again.
    let again = shop.push(&payload(HEAD)).await.expect(200);
    assert_eq!((&again["status"], &again["deployment"]), (&json!("ignored"), &first["deployment"]));
    assert!(text(&again["reason"]).contains("told of before"), "{again}");
    assert_eq!(shop.deployments().await["data"][0]["commit_sha"], json!(other));
    // But it does by being pushed back.
    assert_eq!(shop.push(&step(&other, HEAD)).await.expect(200)["status"], "deploying");
    assert_eq!(shop.deployments().await["data"][0]["commit_sha"], HEAD);
    let asked = shop.server.platform.requests.lock().unwrap().last().cloned().unwrap();
    assert_eq!(asked.before, Some(other));
}

#[tokio::test]
async fn a_push_whose_deployment_failed_can_be_told_of_again() {
    let shop = Shop::new().await;
    let first = shop.push(&payload(HEAD)).await.expect(200);
    let app = shop.app.parse().unwrap();
    let company =
        shop.server.store.instance().called_hook(app, store::HookKind::Push).await.unwrap().unwrap();
    let id = text(&first["deployment"]["id"]).parse().unwrap();
    let state = model::deployment::State::Failed { failure: crate::double::failure() };
    shop.server.platform.put(company.company, app, id, state).await;
    let again = shop.push(&payload(HEAD)).await.expect(200);
    assert_eq!(again["status"], "deploying");
    assert_ne!(again["deployment"], first["deployment"]);
    assert_eq!(shop.push(&payload(HEAD)).await.expect(200), again);
}

#[tokio::test]
async fn pushes_at_the_same_moment_are_one_deployment() {
    let shop = Shop::new().await;
    let body = payload(HEAD);
    let all = futures_util::future::join_all((0..10).map(|_| shop.push(&body))).await;
    let mut answers: Vec<_> = all.into_iter().map(|reply| reply.expect(200)).collect();
    answers.dedup();
    assert_eq!(answers.len(), 1);
    assert_eq!(shop.deployments().await["total"], 1);
}

#[tokio::test]
async fn each_server_shows_its_secret_in_its_own_way() {
    let shop = Shop::new().await;
    let body = payload(HEAD);
    let prefixed = signature(&shop.secret, &body.to_string());
    let bare = prefixed.strip_prefix("sha256=").unwrap();
    let gitlab = json!({
        "ref": "refs/heads/main", "after": HEAD, "commits": [], "total_commits_count": 0,
        "project": {"git_http_url": "https://git.test/acme/shop.git", "default_branch": "main"},
    });
    for (headers, body) in [
        (&[("x-gitea-event", "push"), ("x-gitea-signature", bare)][..], &body),
        (&[("x-github-event", "push"), ("x-hub-signature-256", &*prefixed)], &body),
        (&[("x-gitlab-event", "Push Hook"), ("x-gitlab-token", &*shop.secret)], &gitlab),
    ] {
        assert_eq!(shop.with(headers, body).await.expect(200)["status"], "deploying", "{headers:?}");
    }
}

#[tokio::test]
async fn what_is_not_signed_is_not_even_read() {
    let shop = Shop::new().await;
    let body = payload(HEAD);
    let right = signature(&shop.secret, &body.to_string());
    let other = signature(&shop.secret, &payload(&"2".repeat(40)).to_string());
    let forged = signature("guess", &body.to_string());
    let with_nothing = signature(&".".repeat(64), &body.to_string());
    let event = ("x-github-event", "push");
    let mut seen = Vec::new();
    for headers in [
        &[event][..],
        &[event, ("x-hub-signature-256", "")],
        &[event, ("x-hub-signature-256", &other)],
        &[event, ("x-hub-signature-256", &forged)],
        &[event, ("x-hub-signature-256", &with_nothing)],
        &[event, ("x-hub-signature-256", &right.to_uppercase())],
        &[event, ("x-hub-signature", "sha1=0000")],
        &[event, ("x-gitlab-token", &forged)],
        &[event, ("authorization", &format!("Bearer {}", shop.server.owner))],
    ] {
        seen.push(shop.with(headers, &body).await.expect(401));
        // Nor is it read when it is no JSON at all.
        let reply = shop.server.raw(request(&shop.app, headers, "{".to_owned())).await;
        assert_eq!(reply.status, 401, "{headers:?}");
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "no word of what is wrong");
    for app in ["3f2b8a1e-0000-4000-8000-000000000000", &*text(&shop.server.repository("other").await["id"])]
    {
        let headers = [event, ("x-hub-signature-256", &*right)];
        assert_eq!(shop.server.raw(request(app, &headers, body.to_string())).await.refused(404), "not_found");
    }
    assert_eq!(shop.deployments().await["total"], 0);
    let webhook = shop.server.get(&format!("/applications/{}/push-webhook", shop.app)).await.expect(200);
    assert_eq!(webhook["last_called_at"], Value::Null);
}

#[tokio::test]
async fn what_does_not_concern_the_application_is_left_alone_with_a_reason() {
    let shop = Shop::new().await;
    let with = |pointer: &str, value: Value| {
        let mut body = payload(HEAD);
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    for (body, reason) in [
        (with("/ref", json!("refs/heads/next")), "deploys \"main\""),
        (with("/ref", json!("refs/tags/v1")), "is no branch"),
        (with("/after", json!("0".repeat(40))), "was deleted"),
        (with("/repository/clone_url", json!("https://git.test/eve/shop")), "another repository"),
    ] {
        let answer = shop.push(&body).await.expect(200);
        assert_eq!(answer["status"], "ignored");
        assert!(text(&answer["reason"]).contains(reason), "{answer}");
    }
    let path = format!("/applications/{}", shop.app);
    shop.server.patch(&path, json!({"allow_deploy_paths": ["web/**"]})).await.expect(200);
    assert_eq!(shop.push(&payload(HEAD)).await.expect(200)["reason"], "no path that deploys was changed");
    shop.server.patch(&path, json!({"auto_deploy": false})).await.expect(200);
    assert!(text(&shop.push(&payload(HEAD)).await.expect(200)["reason"]).contains("auto_deploy"));
    let ping = send(&shop.server, &shop.app, &shop.secret, "ping", "{}".to_owned()).await.expect(200);
    assert!(text(&ping["reason"]).contains("ping"));
    send(&shop.server, &shop.app, &shop.secret, "push", "{}".to_owned()).await.refused(400);
    assert_eq!(shop.deployments().await["total"], 0);

    shop.server.patch(&path, json!({"allow_deploy_paths": ["[" ]})).await.refused(400);
    let image = json!({"source": "dockerImage", "docker_image": "registry.test/shop:1", "auto_deploy": true});
    shop.server.patch(&path, image).await.expect(200);
    assert!(text(&shop.push(&payload(HEAD)).await.expect(200)["reason"]).contains("ready image"));
}

#[tokio::test]
async fn a_secret_is_shown_once_and_an_old_one_stops() {
    let shop = Shop::new().await;
    let path = format!("/applications/{}/push-webhook", shop.app);
    for method in ["GET", "POST"] {
        let seen = shop.server.call(method, &path, None).await.body;
        assert!(seen.get("secret").is_none(), "{method}: {seen}");
        assert_eq!(seen["url"], json!(format!("http://localhost/v3/hooks/push/{}", shop.app)));
        assert_eq!(seen["events"], json!(["push"]));
    }
    let fresh = text(&shop.server.call("PUT", &path, None).await.expect(200)["secret"]);
    shop.push(&payload(HEAD)).await.refused(401);
    send(&shop.server, &shop.app, &fresh, "push", payload(HEAD).to_string()).await.expect(200);
    shop.server.call("DELETE", &path, None).await.expect(204);
    send(&shop.server, &shop.app, &fresh, "push", payload(HEAD).to_string()).await.refused(404);
    for method in ["GET", "PUT"] {
        shop.server.call(method, &path, None).await.refused(404);
    }
}

#[tokio::test]
async fn a_huge_body_is_not_taken() {
    let shop = Shop::new().await;
    let mut body = payload(HEAD);
    body["padding"] = json!("x".repeat(24 * 1024 * 1024));
    assert_eq!(shop.push(&body).await.expect(200)["status"], "deploying");
    body["padding"] = json!("x".repeat(25 * 1024 * 1024));
    assert_eq!(shop.push(&body).await.refused(413), "body_too_large");
    assert_eq!(shop.deployments().await["total"], 1);
}

/// A body that does not say how long it is, and never comes; it tells when it is waited for.
fn endless(waited_for: oneshot::Sender<()>) -> impl Body<Data = Bytes, Error = Infallible> + Send + 'static {
    let mut waited_for = Some(waited_for);
    StreamBody::new(futures_util::stream::poll_fn(move |_| {
        if let Some(waited_for) = waited_for.take() {
            let _ = waited_for.send(());
        }
        Poll::<Option<Result<Frame<Bytes>, Infallible>>>::Pending
    }))
}

#[tokio::test]
async fn long_bodies_are_read_a_few_at_a_time() {
    let shop = Shop::new().await;
    let path = format!("/v3/hooks/push/{}", shop.app);
    let peer = |host: &str| api::Peer(format!("{host}:1000").parse().unwrap());
    let of_size = |host: &str, size: usize| {
        let mut request = request(&shop.app, &[("x-github-event", "ping")], "x".repeat(size));
        request.extensions_mut().insert(peer(host));
        shop.server.raw(request)
    };
    for _ in 0..2 {
        let (waited_for, waits) = oneshot::channel();
        let mut request = Request::post(&path).body(endless(waited_for)).unwrap();
        request.extensions_mut().insert(peer("192.0.2.1"));
        tokio::spawn(shop.server.api.call(request));
        waits.await.unwrap();
    }
    assert_eq!(of_size("192.0.2.1", 1024 * 1024 + 1).await.refused(429), "too_many_requests");
    // A usual one has its own place, and so has everybody else.
    of_size("192.0.2.1", 1024 * 1024).await.refused(401);
    of_size("192.0.2.2", 1024 * 1024 + 1).await.refused(401);
}

#[tokio::test]
async fn pushes_without_end_are_held_up() {
    let slow = Rate { per_second: 0.01, burst: 2.0 };
    let shop = Shop::of(Server::with(ApiConfig { hook_deployments: slow, ..quick() }).set_up().await).await;
    for digit in ["1", "2"] {
        shop.push(&payload(&digit.repeat(40))).await.expect(200);
    }
    assert_eq!(shop.push(&payload(&"3".repeat(40))).await.refused(429), "too_many_requests");
    // What is left alone costs nothing.
    send(&shop.server, &shop.app, &shop.secret, "ping", "{}".to_owned()).await.expect(200);

    let calls = ApiConfig { hook_calls: slow, ..quick() };
    let shop = Shop::of(Server::with(calls).set_up().await).await;
    for _ in 0..2 {
        shop.with(&[("x-github-event", "push")], &payload(HEAD)).await.expect(401);
    }
    assert_eq!(shop.push(&payload(HEAD)).await.refused(429), "too_many_requests");
}

/// Time of the processor that this thread had: unlike that of a clock it does not depend on what else the machine does.
/// All but the database runs on this one thread.
fn worked() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// No way is so much shorter that it must have left out the work. Over a body of 4 MiB that work takes long enough to be
/// seen.
#[tokio::test]
async fn refusals_cost_as_much_as_each_other() {
    let shop = Shop::new().await;
    let body = "x".repeat(4 * 1024 * 1024);
    let wrong = format!("sha256={}", "0".repeat(64));
    let unknown = "3f2b8a1e-0000-4000-8000-000000000000";
    let cases: [(&str, &[(&str, &str)]); 4] = [
        (&shop.app, &[("x-hub-signature-256", &wrong)]),
        (&shop.app, &[]),
        (&shop.app, &[("x-gitlab-token", "x")]),
        (unknown, &[("x-hub-signature-256", &wrong)]),
    ];
    let mut fastest = [Duration::MAX; 4];
    for _ in 0..8 {
        for ((app, headers), fastest) in cases.iter().zip(&mut fastest) {
            let started = worked();
            let status = shop.server.raw(request(app, headers, body.clone())).await.status;
            assert!(matches!(status, 401 | 404), "{status}");
            *fastest = (*fastest).min(worked() - started);
        }
    }
    let (least, most) = (fastest.iter().min().unwrap(), fastest.iter().max().unwrap());
    assert!(*least * 4 > *most, "{fastest:?}");
}
