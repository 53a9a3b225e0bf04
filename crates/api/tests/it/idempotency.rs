//! `Idempotency-Key`: a double click or a repeated request starts one deployment.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::server::{Reply, Server, text};

struct Shop {
    server: Server,
    path: String,
}

impl Shop {
    async fn new() -> Self {
        let server = Server::start().await;
        let path = format!("/applications/{}/deployments", text(&server.app("shop").await["id"]));
        Self { server, path }
    }

    async fn post(&self, path: &str, key: &str, body: &str) -> Reply {
        let request = Request::post(format!("/v3{path}"))
            .header("authorization", format!("Bearer {}", self.server.owner))
            .header("idempotency-key", key)
            .body(Full::new(Bytes::from(body.to_owned())));
        let reply = self.server.raw(request.unwrap()).await;
        self.server.judge("POST", path, &reply);
        reply
    }

    async fn count(&self) -> Value {
        self.server.get(&self.path).await.expect(200)["total"].clone()
    }
}

#[tokio::test]
async fn a_repeated_request_starts_nothing_and_gets_the_first_answer() {
    let shop = Shop::new().await;
    let first = shop.post(&shop.path, "\"click\"", "{}").await.expect(200);
    assert_eq!(shop.post(&shop.path, "click", "{}").await.expect(200), first, "quotes mean nothing");
    assert_eq!(shop.post(&format!("/v3{}", shop.path), "click", "{}").await.expect(200), first);
    assert_eq!(shop.count().await, json!(1));
    let other = shop.post(&shop.path, "other", "{}").await.expect(200);
    assert_ne!(other["id"], first["id"]);
    let repeated = shop.post(&shop.path, "click", "{}").await.expect(200);
    assert_eq!((&repeated["id"], &repeated["status"]), (&first["id"], &json!("skipped")), "as it is by now");
    assert_eq!(shop.count().await, json!(2));
}

#[tokio::test]
async fn a_key_stands_for_one_request() {
    let shop = Shop::new().await;
    shop.post(&shop.path, "k", "{}").await.expect(200);
    let elsewhere = format!("/applications/{}/deployments", text(&shop.server.app("other").await["id"]));
    let rollback = format!("{}/rollback", shop.path);
    for (path, body) in [(&shop.path, r#"{"tag":"2"}"#), (&elsewhere, "{}"), (&rollback, "{}")] {
        assert_eq!(shop.post(path, "k", body).await.refused(422), "idempotency_key_reused", "{path} {body}");
    }
    for key in ["", "a b", "\"open", &"k".repeat(256)] {
        assert_eq!(shop.post(&shop.path, key, "{}").await.refused(400), "idempotency_key_invalid", "{key:?}");
    }
    assert_eq!(shop.count().await, json!(1));
}

/// What was refused did nothing, so the key is as good as new.
#[tokio::test]
async fn a_refused_request_uses_up_no_key() {
    let shop = Shop::new().await;
    let rollback = format!("{}/rollback", shop.path);
    assert_eq!(shop.post(&rollback, "k", "").await.refused(400), "no_successful_deployment");
    assert_eq!(shop.post(&shop.path, "k", r#"{"tag":"a b"}"#).await.refused(400), "validation_failed");
    shop.post(&shop.path, "k", "{}").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clicks_at_once_are_one_deployment() {
    let shop = Shop::new().await;
    let clicks = (0..30).map(|_| shop.post(&shop.path, "click", "{}"));
    let answers = futures_util::future::join_all(clicks).await;
    let ids: std::collections::BTreeSet<_> =
        answers.into_iter().map(|answer| text(&answer.expect(200)["id"])).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(shop.count().await, json!(1));
}
