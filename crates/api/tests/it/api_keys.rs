//! API keys: what they may do, how they are changed, and who may change them.

use model::access::Role;
use serde_json::{Value, json};

use crate::server::{CLUSTER, Server, new_app, text};

#[tokio::test]
async fn a_key_is_shown_once_and_then_masked() {
    let server = Server::start().await;
    let body = json!({
        "name": "ci", "expired_at": "2099-01-01T00:00:00+02:00", "role_ids": [Role::Viewer.id().to_string()],
        "capabilities": [
            {"permission": "APP:DEPLOY", "id_resource": CLUSTER}, {"permission": "APP:CREATE"},
        ],
    });
    let made = server.post("/api-keys", body).await.expect(201);
    let token = text(&made["token"]);
    let path = format!("/api-keys/{}", text(&made["id"]));
    let key = server.get(&path).await.expect(200);
    assert_eq!(key["expired_at"], "2099-01-01T00:00:00+02:00", "echo: the text as it was sent");
    assert_eq!(key["masked_token"], json!(format!("{}...{}", &token[..6], &token[65..])));
    assert_eq!(key["capabilities"][0]["permission"], "APP:DEPLOY", "in the order given");
    assert_eq!(key["capabilities"][0]["id_resource"], CLUSTER);
    assert_eq!(key["capabilities"][1]["id_resource"], Value::Null);
    assert_eq!((&key["source"], &key["last_used_at"]), (&json!("EXTERNAL"), &Value::Null));
    for answer in [server.get("/api-keys").await, server.get(&path).await] {
        assert!(!answer.body.to_string().contains(&token));
    }
    server.send("GET", "/api-keys/validate", Some(&token), None).await.expect(200);
    assert!(server.get(&path).await.expect(200)["last_used_at"].is_string());
}

#[tokio::test]
async fn a_key_needs_a_power_and_a_name() {
    let server = Server::start().await;
    let viewer = Role::Viewer.id().to_string();
    for body in [
        json!({"name": "x"}),
        json!({"name": "x", "role_ids": [], "capabilities": []}),
        json!({"name": "", "role_ids": [viewer]}),
        json!({"name": "x".repeat(256), "role_ids": [viewer]}),
        json!({"name": "x", "role_ids": [CLUSTER]}),
        json!({"name": "x", "role_ids": ["viewer"]}),
        json!({"name": "x", "capabilities": [{"permission": "everything"}]}),
        json!({"name": "x", "role_ids": [viewer], "expired_at": "tomorrow"}),
        json!({"role_ids": [viewer]}),
    ] {
        server.post("/api-keys", body).await.expect(400);
    }
    assert_eq!(server.get("/api-keys").await.expect(200)["total"], 1);
}

#[tokio::test]
async fn me_lists_what_the_roles_stand_for() {
    let server = Server::start().await;
    let (_, key) =
        server.key(&[Role::Viewer], json!([{"permission": "APP:DEPLOY", "id_resource": CLUSTER}])).await;
    let me = server.send("GET", "/api-keys/me", Some(&key), None).await.expect(200);
    let words: Vec<_> =
        me["capabilities"].as_array().unwrap().iter().map(|held| text(&held["permission"])).collect();
    assert_eq!(
        words,
        ["APP:DEPLOY", "APP:READ", "REGISTRY_CREDENTIAL:LIST", "PROJECT:READ", "GIT_CREDENTIAL:LIST"]
    );
}

#[tokio::test]
async fn switched_off_expired_and_removed_keys_are_refused_alike() {
    let server = Server::start().await;
    let (id, key) = server.key(&[Role::Viewer], json!([])).await;
    let ask = |key: String| {
        let server = &server;
        async move { server.send("GET", "/applications", Some(&key), None).await }
    };
    ask(key.clone()).await.expect(200);
    let toggle = format!("/api-keys/{id}/toggle");
    assert_eq!(server.call("POST", &toggle, None).await.expect(200)["is_enabled"], false);
    let off = ask(key.clone()).await.expect(401);
    assert_eq!(server.call("POST", &toggle, None).await.expect(200)["is_enabled"], true);
    ask(key.clone()).await.expect(200);
    server.call("DELETE", &format!("/api-keys/{id}"), None).await.expect(200);
    let gone = ask(key).await.expect(401);

    let body = json!({"name": "old", "role_ids": [Role::Viewer.id().to_string()], "expired_at": "2020-01-01T00:00:00Z"});
    let expired = text(&server.post("/api-keys", body).await.expect(201)["token"]);
    let expired = ask(expired).await.expect(401);
    let unknown = ask(format!("dars_{}", "0".repeat(64))).await.expect(401);
    let shapeless = ask("x".to_owned()).await.expect(401);
    let none = server.send("GET", "/applications", None, None).await;
    assert_eq!(none.headers["www-authenticate"], "Bearer");
    assert!(
        [gone, expired, unknown, shapeless, none.expect(401)].iter().all(|body| *body == off),
        "one text for all"
    );
}

#[tokio::test]
async fn a_rotated_key_keeps_its_old_token_as_long_as_asked() {
    let server = Server::start().await;
    let (id, old) = server.key(&[Role::Viewer], json!([])).await;
    let rotate = format!("/api-keys/{id}/rotate");
    let both = server.post(&rotate, json!({"old_token_ttl_hours": 1})).await.expect(200);
    let new = text(&both["token"]);
    for token in [&old, &new] {
        server.send("GET", "/applications", Some(token), None).await.expect(200);
    }
    let shown = server.get(&format!("/api-keys/{id}")).await.expect(200);
    assert!(shown["old_token_expired_at"].is_string());
    assert_eq!(shown["masked_token"], json!(format!("{}...{}", &new[..6], &new[65..])));

    let newest = text(&server.call("POST", &rotate, None).await.expect(200)["token"]);
    for token in [&old, &new] {
        server.send("GET", "/applications", Some(token), None).await.expect(401);
    }
    server.send("GET", "/applications", Some(&newest), None).await.expect(200);
    server.post(&rotate, json!({"old_token_ttl_hours": 169})).await.expect(400);
}

#[tokio::test]
async fn no_key_changes_itself() {
    let server = Server::start().await;
    let me = text(&server.get("/api-keys/me").await.expect(200)["id"]);
    let path = format!("/api-keys/{me}");
    let body = Some(json!({"name": "other"}));
    for (method, path, body) in [
        ("PATCH", path.clone(), body),
        ("DELETE", path.clone(), None),
        ("POST", format!("{path}/toggle"), None),
        ("POST", format!("{path}/rotate"), None),
    ] {
        assert_eq!(
            server.call(method, &path, body).await.refused(400),
            "api_key_self_change",
            "{method} {path}"
        );
    }
    server.get(&path).await.expect(200);
}

#[tokio::test]
async fn nobody_hands_on_or_takes_more_than_they_have() {
    let server = Server::start().await;
    let (_, admin) = server.key(&[Role::Admin], json!([])).await;
    let owner_key = text(&server.get("/api-keys/me").await.expect(200)["id"]);
    let make = |roles: Value, capabilities: Value| json!({"name": "x", "role_ids": roles, "capabilities": capabilities});
    let owner_role = Role::Owner.id().to_string();
    for body in [make(json!([owner_role]), json!([])), make(json!([]), json!([{"permission": "COMPANY:*"}]))]
    {
        server.send("POST", "/api-keys", Some(&admin), Some(body)).await.expect(403);
    }
    for (method, path, body) in [
        ("POST", format!("/api-keys/{owner_key}/rotate"), None),
        ("POST", format!("/api-keys/{owner_key}/toggle"), None),
        ("DELETE", format!("/api-keys/{owner_key}"), None),
        ("PATCH", format!("/api-keys/{owner_key}"), Some(json!({"name": "mine"}))),
    ] {
        assert_eq!(
            server.send(method, &path, Some(&admin), body).await.refused(403),
            "forbidden",
            "{method} {path}"
        );
    }
    let (viewer, _) = server.key(&[Role::Viewer], json!([])).await;
    let raise = json!({"role_ids": [owner_role]});
    server.send("PATCH", &format!("/api-keys/{viewer}"), Some(&admin), Some(raise)).await.expect(403);
    server
        .send("PATCH", &format!("/api-keys/{viewer}"), Some(&admin), Some(json!({"name": "v"})))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_key_for_one_application_sees_that_one_only() {
    let server = Server::start().await;
    let own = text(&server.app("own").await["id"]);
    let other = text(&server.app("other").await["id"]);
    let one = |permission: &str| json!({"permission": permission, "id_resource": own});
    let (_, key) = server.key(&[], json!([one("APP:READ"), one("APP:DEPLOY")])).await;
    let send = |method: &'static str, path: String, body: Option<Value>| {
        let (server, key) = (&server, &key);
        async move { server.send(method, &path, Some(key), body).await }
    };
    let list = send("GET", "/applications".into(), None).await.expect(200);
    assert_eq!((&list["total"], &list["data"][0]["id"]), (&json!(1), &json!(own)));
    send("GET", format!("/applications/{own}"), None).await.expect(200);
    send("POST", format!("/applications/{own}/deployments"), None).await.expect(200);
    send("GET", format!("/applications/{other}"), None).await.expect(404);
    send("POST", format!("/applications/{other}/deployments"), None).await.expect(404);
    send("PATCH", format!("/applications/{own}"), Some(json!({"display_name": "x"}))).await.expect(403);
    send("GET", format!("/applications/{own}/env-vars"), None).await.expect(403);
    send("POST", "/applications".into(), Some(new_app("third", "nginx"))).await.expect(403);
    send("GET", "/projects".into(), None).await.expect(403);
    server.call("DELETE", &format!("/applications/{other}"), None).await.expect(200);
}

#[tokio::test]
async fn a_key_that_lost_its_application_can_be_renamed_and_given_something_else() {
    let server = Server::start().await;
    let app = text(&server.app("gone").await["id"]);
    let (id, _) = server.key(&[], json!([{"permission": "APP:READ", "id_resource": app}])).await;
    server.call("DELETE", &format!("/applications/{app}"), None).await.expect(200);
    let path = format!("/api-keys/{id}");
    let renamed = server.patch(&path, json!({"name": "left over"})).await.expect(200);
    assert_eq!((&renamed["name"], &renamed["capabilities"]), (&json!("left over"), &json!([])));
    server.patch(&path, json!({"capabilities": []})).await.expect(400);
    server.patch(&path, json!({"capabilities": [{"permission": "APP:READ"}]})).await.expect(200);
}
