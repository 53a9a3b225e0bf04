//! Deployments: what is asked of the deployment side, and how a record is shown.

use api::platform::DeployRequest;
use model::deployment::State;
use model::{AppId, CompanyId, DeploymentId, Trigger};
use serde_json::{Value, json};

use crate::double::{digest, failure};
use crate::server::{Server, text};

struct Shop {
    server: Server,
    company: CompanyId,
    app: AppId,
    path: String,
}

impl Shop {
    async fn new() -> Self {
        let server = Server::start().await;
        let app = server.app("shop").await;
        Self {
            company: text(&app["company_id"]).parse().unwrap(),
            app: text(&app["id"]).parse().unwrap(),
            path: format!("/applications/{}/deployments", text(&app["id"])),
            server,
        }
    }

    async fn deploy(&self, body: Value) -> (DeploymentId, Value) {
        let record = self.server.post(&self.path, body).await.expect(200);
        (text(&record["id"]).parse().unwrap(), record)
    }

    async fn get(&self, id: DeploymentId) -> Value {
        self.server.get(&format!("{}/{id}", self.path)).await.expect(200)
    }

    fn last_request(&self) -> DeployRequest {
        self.server.platform.requests.lock().unwrap().last().cloned().expect("a request")
    }
}

#[tokio::test]
async fn a_request_says_what_to_deploy() {
    let shop = Shop::new().await;
    let sha = digest(9).to_string();
    for (body, image, restart) in [
        (json!({}), None, false),
        (json!({"is_restart": true}), None, true),
        (json!({"docker_image": "ghcr.io/a/b:2"}), Some("ghcr.io/a/b:2".to_owned()), false),
        (json!({"docker_image_tag": "2"}), Some("registry.test/shop:2".to_owned()), false),
        (json!({"tag": "3"}), Some("registry.test/shop:3".to_owned()), false),
        (json!({"tag": "3", "docker_image_tag": "4"}), Some("registry.test/shop:4".to_owned()), false),
        (json!({"docker_image_digest": sha}), Some(format!("registry.test/shop@{sha}")), false),
        (json!({"docker_image_digest": sha, "tag": "5"}), Some(format!("registry.test/shop:5@{sha}")), false),
    ] {
        let (_, record) = shop.deploy(body.clone()).await;
        let trigger = if restart { Trigger::Restart } else { Trigger::ManualDeploy };
        let shown = image.clone().unwrap_or_else(|| "registry.test/shop:1".to_owned());
        let expected =
            DeployRequest { image, revision: None, commit: None, before: None, restart, trigger, key: None };
        assert_eq!(shop.last_request(), expected, "{body}");
        assert_eq!(record["docker_image_url"], json!(shown));
        assert_eq!(record["trigger"], json!(trigger.as_str()));
    }
    let empty = shop.server.call("POST", &shop.path, None).await.expect(200);
    assert_eq!(empty["status"], "waiting");
}

#[tokio::test]
async fn a_reference_that_cannot_be_read_is_refused() {
    let shop = Shop::new().await;
    for (body, code) in [
        (json!({"docker_image": "https://nginx"}), "image_reference_invalid"),
        (json!({"docker_image": "nginx", "docker_image_tag": "2"}), "validation_failed"),
        (json!({"docker_image": "nginx", "tag": "2"}), "validation_failed"),
        (json!({"docker_image_tag": "a b"}), "validation_failed"),
        (json!({"docker_image_tag": "../x"}), "validation_failed"),
        (json!({"docker_image_digest": "sha256:00"}), "validation_failed"),
        (json!({"is_restart": "yes"}), "validation_failed"),
        (json!({"is_restart": true, "docker_image": "nginx"}), "validation_failed"),
        (json!({"is_restart": true, "tag": "2"}), "validation_failed"),
        (json!({"is_restart": true, "docker_image_digest": digest(9).to_string()}), "validation_failed"),
        (json!("text"), "validation_failed"),
    ] {
        assert_eq!(shop.server.post(&shop.path, body.clone()).await.refused(400), code, "{body}");
    }
    assert!(shop.server.platform.requests.lock().unwrap().is_empty());
}

/// The echo keeps the blanks around an image; another tag goes to where the old one was.
#[tokio::test]
async fn blanks_around_the_image_are_in_nobodys_way() {
    let shop = Shop::new().await;
    let app = format!("/applications/{}", shop.app);
    let changed = shop.server.patch(&app, json!({"docker_image": " registry.test/shop "})).await.expect(200);
    assert_eq!(changed["docker_image"], " registry.test/shop ");
    let (_, record) = shop.deploy(json!({"docker_image_tag": "2"})).await;
    assert_eq!(record["docker_image_url"], "registry.test/shop:2");
}

#[tokio::test]
async fn a_record_tells_how_far_it_is_and_why_it_failed() {
    let shop = Shop::new().await;
    let (id, record) = shop.deploy(json!({})).await;
    assert_eq!((&record["status"], &record["progress"]), (&json!("waiting"), &Value::Null));

    shop.server.platform.put(shop.company, shop.app, id, State::Pulling).await;
    let pulling = shop.get(id).await;
    assert_eq!(pulling["status"], "inProgress");
    assert_eq!(pulling["progress"]["step"], "pulling");
    assert_eq!(pulling["progress"]["layers"][0]["state"], "pulling");

    shop.server.platform.put(shop.company, shop.app, id, State::Undoing { failure: failure() }).await;
    let undoing = shop.get(id).await;
    assert_eq!((&undoing["status"], &undoing["failure"]), (&json!("inProgress"), &Value::Null));

    shop.server.platform.put(shop.company, shop.app, id, State::Failed { failure: failure() }).await;
    let failed = shop.get(id).await;
    assert_eq!((&failed["status"], &failed["progress"]), (&json!("failed"), &Value::Null));
    assert_eq!(failed["failure"]["code"], "exited_early");
    assert_eq!(failed["failure"]["during"], "start");
    assert_eq!(failed["failure"]["exit_code"], 3);
    assert_eq!(failed["failure"]["log_tail"], json!(["cannot open /data"]));
}

#[tokio::test]
async fn what_serves_is_shown_with_its_digest() {
    let shop = Shop::new().await;
    let (id, _) = shop.deploy(json!({})).await;
    shop.server.platform.finish(shop.company, shop.app, id).await;
    assert_eq!(shop.get(id).await["status"], "success");
    let app = shop.server.get(&format!("/applications/{}", shop.app)).await.expect(200);
    assert_eq!(app["docker_image_digest"], json!(digest(1).to_string()));
    assert_eq!(app["serving_deployment_id"], json!(id.to_string()));
    assert_eq!(app["status"], "deploymentSuccess");
}

#[tokio::test]
async fn a_waiting_one_is_skipped_and_a_finished_one_refused() {
    let shop = Shop::new().await;
    let (id, _) = shop.deploy(json!({})).await;
    let cancel = format!("{}/{id}/cancel", shop.path);
    shop.server.call("POST", &cancel, None).await.expect(200);
    assert_eq!(shop.get(id).await["status"], "skipped");
    assert_eq!(shop.server.call("POST", &cancel, None).await.refused(409), "deployment_finished");

    let (id, _) = shop.deploy(json!({})).await;
    shop.server.platform.put(shop.company, shop.app, id, State::Pulling).await;
    shop.server.call("POST", &format!("{}/{id}/cancel", shop.path), None).await.expect(200);
    assert_eq!(shop.get(id).await["status"], "cancelled");
}

#[tokio::test]
async fn there_has_to_be_something_to_go_back_to() {
    let shop = Shop::new().await;
    let rollback = format!("{}/rollback", shop.path);
    let refused = shop.server.call("POST", &rollback, None).await.refused(400);
    assert_eq!(refused, "no_successful_deployment");
    let (first, _) = shop.deploy(json!({})).await;
    shop.server.platform.finish(shop.company, shop.app, first).await;
    let back = shop.server.post(&rollback, json!({"deployment_id": first.to_string()})).await.expect(200);
    assert_eq!(back["trigger"], "ROLLBACK_DEPLOYMENT");
    shop.server.post(&rollback, json!({"deployment_id": "x"})).await.expect(400);
    let unknown = json!({"deployment_id": DeploymentId::new().to_string()});
    shop.server.post(&rollback, unknown).await.expect(404);
}

#[tokio::test]
async fn a_deployment_belongs_to_one_application() {
    let shop = Shop::new().await;
    let (id, _) = shop.deploy(json!({})).await;
    let other = text(&shop.server.app("other").await["id"]);
    let path = format!("/applications/{other}/deployments/{id}");
    shop.server.get(&path).await.expect(404);
    shop.server.get(&format!("{path}/logs")).await.expect(404);
    shop.server.call("POST", &format!("{path}/cancel"), None).await.expect(404);
    assert_eq!(shop.get(id).await["status"], "waiting");
}
