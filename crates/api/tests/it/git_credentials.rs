//! Git credentials: tokens and deploy keys, whose secrets are in no answer.

use model::access::Role;
use serde_json::{Value, json};

use crate::server::{Server, new_git_credential, new_repository, text};

fn deploy_key(host: &str) -> Value {
    json!({"name": "Team web", "kind": "deploy_key", "host": host})
}

async fn secret(server: &Server, id: &str) -> String {
    let company = server.get("/api-keys/me").await.expect(200);
    let company = server.store.company(text(&company["company_id"]).parse().unwrap());
    company.git_credential_with_secret(id.parse().unwrap()).await.unwrap().1.expose().to_owned()
}

#[tokio::test]
async fn a_token_is_stored_and_never_shown() {
    let server = Server::start().await;
    let body = json!({"name": " bot ☕", "kind": "token", "host": "GIT.test:443", "username": "bot", "secret": "canary-secret\n"});
    let made = server.post("/git-credentials", body).await.expect(201);
    assert_eq!(
        (&made["name"], &made["host"], &made["username"]),
        (&json!(" bot ☕"), &json!("git.test"), &json!("bot"))
    );
    assert_eq!((&made["public_key"], &made["host_keys"]), (&Value::Null, &json!([])));
    let id = text(&made["id"]);
    assert_eq!(secret(&server, &id).await, "canary-secret");
    let shown = server.get(&format!("/git-credentials/{id}")).await.expect(200);
    assert_eq!(shown, made);
    let listed = server.get("/git-credentials").await.expect(200);
    assert_eq!(listed["data"], json!([made]));
    assert!(!listed.to_string().contains("canary"), "{listed}");
}

#[tokio::test]
async fn a_key_is_made_here_and_only_its_public_half_goes_out() {
    let server = Server::start().await;
    let made = server.post("/git-credentials", deploy_key("git.test:2222")).await.expect(201);
    assert_eq!(made["public_key"], "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 darsena-Team-web");
    assert!(text(&made["host_keys"][0]["fingerprint"]).starts_with("SHA256:"), "{made}");
    assert_eq!((&made["username"], &made["host"]), (&Value::Null, &json!("git.test:2222")));
    assert!(!made.to_string().contains("canary"), "{made}");
    assert!(secret(&server, &text(&made["id"])).await.contains("canary-secret"));
    assert_eq!(
        server.post("/git-credentials", deploy_key("unreachable.test")).await.refused(502),
        "git_unreachable"
    );
    assert_eq!(
        server.get("/git-credentials").await.expect(200)["total"],
        1,
        "nothing is left of a key without a server"
    );
}

#[tokio::test]
async fn what_cannot_be_a_login_is_refused_by_its_field() {
    let server = Server::start().await;
    let with = |field: &str, value: Value| {
        let mut body = new_git_credential("bot");
        body[field] = value;
        body
    };
    let mut with_secret = deploy_key("git.test");
    with_secret["secret"] = json!("x");
    for (body, field) in [
        (with("name", json!("")), "name"),
        (with("kind", json!("password")), "kind"),
        (with("host", json!("https://git.test")), "host"),
        (with("host", json!("git.test/acme")), "host"),
        (with("host", json!("-oProxyCommand=id")), "host"),
        (with("username", Value::Null), "username"),
        (with("username", json!("a:b")), "username"),
        (with("secret", Value::Null), "secret"),
        (with("secret", json!("two\nlines")), "secret"),
        (with("secret", json!("********")), "secret"),
        (with_secret, "secret"),
    ] {
        let reply = server.post("/git-credentials", body.clone()).await.expect(400);
        assert_eq!(reply["data"]["field"], json!(field), "{body}: {reply}");
    }
}

#[tokio::test]
async fn another_user_needs_the_token_again() {
    let server = Server::start().await;
    let id = text(&server.git_credential("bot").await["id"]);
    let path = format!("/git-credentials/{id}");
    let same = json!({"name": "crew", "username": "bot"});
    assert_eq!(server.patch(&path, same).await.expect(200)["name"], "crew");
    let refused = server.patch(&path, json!({"username": "eve"})).await.expect(400);
    assert_eq!(refused["data"]["field"], "secret");
    server.patch(&path, json!({"username": "eve", "secret": "hers"})).await.expect(200);
    assert_eq!(secret(&server, &id).await, "hers");

    let key = server.post("/git-credentials", deploy_key("git.test")).await.expect(201);
    let path = format!("/git-credentials/{}", text(&key["id"]));
    assert_eq!(
        server.patch(&path, json!({"name": "new"})).await.expect(200)["public_key"],
        key["public_key"]
    );
    for body in [json!({"secret": "x"}), json!({"username": "x"})] {
        server.patch(&path, body).await.refused(400);
    }
}

#[tokio::test]
async fn one_in_use_is_kept_unless_forced() {
    let server = Server::start().await;
    let id = text(&server.git_credential("bot").await["id"]);
    let mut body = new_repository("shop");
    body["git_credential_id"] = json!(id);
    let app = server.post("/applications", body).await.expect(201);
    let path = format!("/git-credentials/{id}");
    assert_eq!(server.get(&path).await.expect(200)["used_by"], json!([app["id"]]));
    let refused = server.call("DELETE", &path, None).await.expect(409);
    assert_eq!(refused["data"]["code"], "git_credential_in_use");
    assert_eq!(refused["data"]["applications"][0]["display_name"], "shop");
    server.call("DELETE", &format!("{path}?force=true"), None).await.expect(200);
    let app = server.get(&format!("/applications/{}", text(&app["id"]))).await.expect(200);
    assert_eq!((&app["git_credential_id"], &app["source"]), (&Value::Null, &json!("publicGit")));
}

#[tokio::test]
async fn a_viewer_sees_names_and_a_developer_picks() {
    let server = Server::start().await;
    let made = server.git_credential("bot").await;
    let viewer = server.key(&[Role::Viewer], json!([])).await.1;
    let seen = server.send("GET", "/git-credentials", Some(&viewer), None).await.expect(200);
    let seen = &seen["data"][0];
    assert_eq!((&seen["name"], &seen["host"]), (&made["name"], &made["host"]));
    assert_eq!(
        (&seen["username"], &seen["last_used_at"], &seen["used_by"]),
        (&Value::Null, &Value::Null, &json!([]))
    );

    // Without the right to read it, it looks like none.
    let capabilities = json!([{"permission": "APP:CREATE"}, {"permission": "APP:READ"}]);
    let maker = server.key(&[], capabilities).await.1;
    let mut body = new_repository("shop");
    body["git_credential_id"] = made["id"].clone();
    let refused = server.send("POST", "/applications", Some(&maker), Some(body.clone())).await.expect(400);
    assert_eq!(refused["data"]["field"], "git_credential_id");
    let developer = server.key(&[Role::Developer], json!([])).await.1;
    server.send("POST", "/applications", Some(&developer), Some(body)).await.expect(201);
}
