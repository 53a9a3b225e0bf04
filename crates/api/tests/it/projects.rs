//! Projects and the applications in them.

use model::access::Role;
use serde_json::json;

use crate::server::{CLUSTER, Server, new_app, text};

#[tokio::test]
async fn a_project_has_a_name_for_life_and_a_display_name() {
    let server = Server::start().await;
    let made = server.post("/projects", json!({"display_name": "My Web"})).await.expect(201);
    assert_eq!(made["display_name"], "My Web");
    let path = format!("/projects/{}", text(&made["id"]));
    let renamed = server.patch(&path, json!({"display_name": "Other"})).await.expect(200);
    assert_eq!((&renamed["name"], &renamed["display_name"]), (&made["name"], &json!("Other")));
    let twin = server.post("/projects", json!({"display_name": "My Web"})).await.expect(201);
    assert_ne!(twin["name"], made["name"], "names are unique");
    for bad in [
        json!({}),
        json!({"display_name": ""}),
        json!({"display_name": "x".repeat(65)}),
        json!({"display_name": "a\nb"}),
    ] {
        server.post("/projects", bad).await.expect(400);
    }
    assert_eq!(server.get("/projects").await.expect(200)["total"], 2);
    server.call("DELETE", &path, None).await.expect(200);
    server.get(&path).await.expect(404);
}

#[tokio::test]
async fn applications_come_and_go_and_outlive_the_project() {
    let server = Server::start().await;
    let project = text(&server.post("/projects", json!({"display_name": "Web"})).await.expect(201)["id"]);
    let path = format!("/projects/{project}");
    let mut body = new_app("born-inside", "nginx");
    body["project_id"] = json!(project);
    let inside = server.post("/applications", body).await.expect(201);
    assert_eq!(inside["project_id"], json!(project));
    let app = text(&server.app("shop").await["id"]);

    let services = format!("{path}/services");
    server.post(&services, json!({"service_id": app, "service_type": "app"})).await.expect(200);
    assert_eq!(server.get(&path).await.expect(200)["services"].as_array().unwrap().len(), 2);
    server.post(&services, json!({"service_id": CLUSTER, "service_type": "app"})).await.expect(404);
    server.post(&services, json!({"service_id": app, "service_type": "database"})).await.expect(404);
    server.post(&services, json!({"service_id": app, "service_type": "load-balancer"})).await.expect(400);
    server.post(&services, json!({"service_id": "x", "service_type": "app"})).await.expect(400);

    let service = format!("{services}/{app}");
    server.call("DELETE", &service, None).await.expect(400);
    server.call("DELETE", &format!("{service}?service_type=floppy"), None).await.expect(400);
    server.call("DELETE", &format!("{service}?service_type=app"), None).await.expect(200);
    server.call("DELETE", &format!("{service}?service_type=app"), None).await.expect(404);

    server.call("DELETE", &path, None).await.expect(200);
    let left = server.get(&format!("/applications/{}", text(&inside["id"]))).await.expect(200);
    assert_eq!(left["project_id"], serde_json::Value::Null);
}

#[tokio::test]
async fn moving_an_application_needs_the_permission_for_both() {
    let server = Server::start().await;
    let project = text(&server.post("/projects", json!({"display_name": "Web"})).await.expect(201)["id"]);
    let app = text(&server.app("shop").await["id"]);
    let body = json!({"service_id": app, "service_type": "app"});
    let services = format!("/projects/{project}/services");
    let (_, no_app) = server.key(&[], json!([{"permission": "PROJECT:UPDATE"}])).await;
    server.send("POST", &services, Some(&no_app), Some(body.clone())).await.expect(403);
    let (_, no_project) = server.key(&[Role::Viewer], json!([{"permission": "APP:UPDATE"}])).await;
    server.send("POST", &services, Some(&no_project), Some(body.clone())).await.expect(403);
    let both = json!([
        {"permission": "PROJECT:UPDATE", "id_resource": project},
        {"permission": "APP:UPDATE", "id_resource": app},
    ]);
    let (_, both) = server.key(&[], both).await;
    server.send("POST", &services, Some(&both), Some(body)).await.expect(200);
}
