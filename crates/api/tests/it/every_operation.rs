//! One walk through the whole of stage 1: each operation succeeds once and fits its schema.

use serde_json::json;

use crate::contract;
use crate::server::{Server, text};

#[tokio::test]
async fn every_operation_of_stage_1_fits_the_file() {
    let server = Server::start().await;
    let company = walk_keys_and_resources(&server).await;
    walk_credentials(&server).await;
    walk_git(&server, company).await;
    walk_hooks(&server).await;
    walk_an_application(&server, company).await;
    walk_projects(&server).await;

    let missing: Vec<_> = contract::built().difference(&server.covered()).copied().collect();
    assert!(missing.is_empty(), "never succeeded in this test: {missing:?}");
}

async fn walk_keys_and_resources(server: &Server) -> model::CompanyId {
    let me = server.get("/api-keys/me").await.expect(200);
    server.get("/api-keys/validate").await.expect(200);
    server.get("/resources/clusters").await.expect(200);
    server.get("/resources/process-resource-types").await.expect(200);
    let body = json!({"name": "ci", "capabilities": [{"permission": "APP:READ"}], "expired_at": "2099-01-01T00:00:00Z"});
    let made = server.post("/api-keys", body).await.expect(201);
    let path = format!("/api-keys/{}", text(&made["id"]));
    server.get("/api-keys").await.expect(200);
    server.get(&path).await.expect(200);
    server.patch(&path, json!({"name": "ci 2"})).await.expect(200);
    server.call("POST", &format!("{path}/toggle"), None).await.expect(200);
    server.call("POST", &format!("{path}/rotate"), None).await.expect(200);
    server.call("DELETE", &path, None).await.expect(200);
    text(&me["company_id"]).parse().expect("an id")
}

async fn walk_credentials(server: &Server) {
    let body = json!({"name": "team", "registry": "github", "username": "bot", "secret": "token"});
    let made = server.post("/docker-registries", body).await.expect(201);
    let path = format!("/docker-registries/{}", text(&made["id"]));
    server.get("/docker-registries").await.expect(200);
    server.get(&path).await.expect(200);
    server.patch(&path, json!({"secret": "other"})).await.expect(200);
    server.call("POST", &format!("{path}/verify"), None).await.expect(200);
    server.call("DELETE", &path, None).await.expect(200);
}

async fn walk_git(server: &Server, company: model::CompanyId) {
    server.get("/git/providers").await.expect(200);
    let look = json!({"repo_url": "https://git.test/acme/shop", "build_type": "made"});
    server.post("/git/inspect", look).await.expect(200);
    let key = json!({"name": "web", "kind": "deploy_key", "host": "git.test"});
    let made = server.post("/git-credentials", key).await.expect(201);
    let path = format!("/git-credentials/{}", text(&made["id"]));
    server.get("/git-credentials").await.expect(200);
    server.get(&path).await.expect(200);
    server.patch(&path, json!({"name": "web 2"})).await.expect(200);
    server.call("DELETE", &path, None).await.expect(200);

    let (staging, live) = (server.repository("staging").await, server.app("live").await);
    let staging = format!("/applications/{}", text(&staging["id"]));
    server.patch(&staging, json!({"build_path": "web", "dockerfile_text": "FROM scratch"})).await.expect(200);
    let body = json!({"branch": "next", "commit_sha": "1".repeat(40)});
    let deployment = server.post(&format!("{staging}/deployments"), body).await.expect(200);
    let ids = [&deployment["app_id"], &deployment["id"]].map(text);
    server.platform.finish(company, ids[0].parse().unwrap(), ids[1].parse().unwrap()).await;
    let target = json!({"target_app_id": live["id"]});
    let promoted = server.post(&format!("{staging}/promote"), target).await.expect(200);
    assert_eq!((&promoted["app_id"], &promoted["trigger"]), (&live["id"], &json!("PROMOTE")));
}

async fn walk_hooks(server: &Server) {
    let app = text(&server.app("hooked").await["id"]);
    let hook = format!("/applications/{app}/deployment-hook");
    server.call("POST", &hook, None).await.expect(201);
    server.get(&hook).await.expect(200);
    let made = server.call("PUT", &hook, None).await.expect(200);
    let url = text(&made["url"]);
    let call = url.split("/v3").nth(1).expect("a path");
    server.send("POST", call, None, None).await.expect(200);
    server.call("DELETE", &hook, None).await.expect(204);

    let webhook = format!("/applications/{app}/push-webhook");
    server.call("POST", &webhook, None).await.expect(201);
    server.get(&webhook).await.expect(200);
    let made = server.call("PUT", &webhook, None).await.expect(200);
    let body = json!({"zen": "Keep it simple."}).to_string();
    crate::pushes::send(server, &app, &text(&made["secret"]), "ping", body).await.expect(200);
    server.call("DELETE", &webhook, None).await.expect(204);
}

async fn walk_an_application(server: &Server, company: model::CompanyId) {
    server.post("/images/inspect", json!({"docker_image": "nginx"})).await.expect(200);
    let app = server.app("shop").await;
    let id = text(&app["id"]);
    let path = format!("/applications/{id}");
    server.get("/applications").await.expect(200);
    server.get(&path).await.expect(200);
    server.patch(&path, json!({"display_name": "Shop"})).await.expect(200);

    let processes = server.get(&format!("{path}/processes")).await.expect(200);
    let process = format!("{path}/processes/{}", text(&processes["data"][0]["id"]));
    server.get(&process).await.expect(200);
    server.patch(&process, json!({"port": 80})).await.expect(200);

    let var = server.post(&format!("{path}/env-vars"), json!({"key": "A", "value": "b"})).await.expect(201);
    let var = format!("{path}/env-vars/{}", text(&var["id"]));
    server.get(&format!("{path}/env-vars")).await.expect(200);
    server.call("PUT", &var, Some(json!({"value": "c"}))).await.expect(200);
    server.call("DELETE", &var, None).await.expect(200);

    let first = server.call("POST", &format!("{path}/deployments"), None).await.expect(200);
    let first = text(&first["id"]);
    let app_id = id.parse().expect("an id");
    server.platform.finish(company, app_id, first.parse().expect("an id")).await;
    let second =
        server.post(&format!("{path}/deployments"), json!({"docker_image_tag": "2"})).await.expect(200);
    let second = format!("{path}/deployments/{}", text(&second["id"]));
    server.call("POST", &format!("{second}/cancel"), None).await.expect(200);
    server.get(&format!("{path}/deployments")).await.expect(200);
    server.get(&second).await.expect(200);
    server.get(&format!("{second}/logs")).await.expect(200);
    server.get(&format!("{path}/runtime-logs")).await.expect(200);
    let back = server
        .post(&format!("{path}/deployments/rollback"), json!({"deployment_id": first}))
        .await
        .expect(200);
    let back = format!("{path}/deployments/{}", text(&back["id"]));
    server.call("POST", &format!("{back}/cancel"), None).await.expect(200);

    server.call("POST", &format!("{path}/suspend"), None).await.expect(200);
    server.call("POST", &format!("{path}/activate"), None).await.expect(200);
    server.call("DELETE", &path, None).await.expect(200);
    assert_eq!(server.get(&path).await.refused(404), "not_found");
}

async fn walk_projects(server: &Server) {
    let app = text(&server.app("member").await["id"]);
    let project = server.post("/projects", json!({"display_name": "Web"})).await.expect(201);
    let path = format!("/projects/{}", text(&project["id"]));
    server.get("/projects").await.expect(200);
    server.patch(&path, json!({"display_name": "Web 2"})).await.expect(200);
    server
        .post(&format!("{path}/services"), json!({"service_id": app, "service_type": "app"}))
        .await
        .expect(200);
    let detail = server.get(&path).await.expect(200);
    assert_eq!(detail["services"][0]["id"], json!(app));
    let service = format!("{path}/services/{app}?service_type=app");
    server.call("DELETE", &service, None).await.expect(200);
    server.call("DELETE", &path, None).await.expect(200);
}
