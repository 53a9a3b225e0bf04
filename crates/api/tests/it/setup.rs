//! The first account.

use serde_json::json;

use crate::server::{Server, text};

fn body(token: &str) -> serde_json::Value {
    json!({"setup_token": token, "email": "a@example.com", "password": "correct horse", "company": "Acme"})
}

#[tokio::test]
async fn the_token_works_once() {
    let server = Server::unset().await;
    let token = server.setup_token().await;
    assert_eq!(
        server.send("POST", "/setup", None, Some(body("wrong"))).await.refused(403),
        "setup_token_wrong"
    );
    for (field, bad) in [("password", "too short"), ("email", "nobody"), ("company", " ")] {
        let mut body = body(&token);
        body[field] = json!(bad);
        server.send("POST", "/setup", None, Some(body)).await.expect(400);
    }
    let done = server.send("POST", "/setup", None, Some(body(&token))).await.expect(201);
    let key = text(&done["api_key"]["token"]);
    assert!(key.starts_with("dars_") && key.len() == 69, "the form of a key");
    let me = server.send("GET", "/api-keys/me", Some(&key), None).await.expect(200);
    assert_eq!(me["roles"][0]["name"], "owner");
    assert_eq!(me["company_id"], done["company_id"]);
    assert_eq!(server.send("POST", "/setup", None, Some(body(&token))).await.refused(409), "already_set_up");
}

#[tokio::test]
async fn of_two_at_once_one_wins() {
    let server = Server::unset().await;
    let token = server.setup_token().await;
    let attempt = || server.send("POST", "/setup", None, Some(body(&token)));
    let (one, two) = tokio::join!(attempt(), attempt());
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert!(matches!(statuses, [201, 409 | 429]), "{statuses:?}");
}

/// A15: what must stay secret is neither in the database's files nor in the log of what was done.
#[tokio::test]
async fn secrets_are_not_stored_in_clear() {
    let server = Server::start().await;
    let app = text(&server.app("shop").await["id"]);
    let var = json!({"key": "K", "value": "canary-in-a-variable"});
    server.post(&format!("/applications/{app}/env-vars"), var).await.expect(201);
    for file in std::fs::read_dir(server.data.path()).unwrap() {
        let path = file.unwrap().path();
        let Ok(bytes) = std::fs::read(&path) else { continue };
        for secret in [server.owner.as_str(), "correct horse battery", "canary-in-a-variable"] {
            let is_there = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!is_there, "{} holds {secret}", path.display());
        }
    }
}
