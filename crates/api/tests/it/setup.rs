//! The first account.

use api::{ApiConfig, Peer, Rate};
use http::Request;
use http_body_util::Full;
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
    for (field, bad) in [("password", "short"), ("email", "nobody"), ("company", " ")] {
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

/// The setup is open to everybody, so nobody may fill the disk or hold the owner up with it.
#[tokio::test]
async fn only_who_shows_a_token_is_written_down() {
    let server = Server::unset().await;
    let token = server.setup_token().await;
    for nothing in [None, Some(json!({})), Some(json!([])), Some(body("")), Some(body("wrong"))] {
        let reply = server.send("POST", "/setup", None, nothing).await;
        assert!(matches!(reply.status, 400 | 403), "{reply:?}");
    }
    assert_eq!(rows(&server), [] as [String; 0]);

    let forged = "0".repeat(64);
    let [one, two, right] = [body(&forged), body(&forged), body(&token)]
        .map(|body| server.send("POST", "/setup", None, Some(body)));
    let (one, two, right) = tokio::join!(one, two, right);
    assert_eq!([one.status, two.status, right.status], [403, 403, 201], "a wrong token holds nobody up");
    let mut written = rows(&server);
    written.sort_unstable();
    assert_eq!(written, ["setup", "setup refused with 403", "setup refused with 403"]);

    for late in [None, Some(body(&forged)), Some(body(&token))] {
        assert_eq!(server.send("POST", "/setup", None, late).await.refused(409), "already_set_up");
    }
    assert_eq!(rows(&server).len(), 3, "nothing is written once it is done");
    let database = rusqlite::Connection::open(server.data.path().join("darsena.db")).unwrap();
    database.execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM companies;").unwrap();
    let reply = server.send("POST", "/setup", None, None).await;
    assert_eq!(reply.refused(409), "already_set_up", "the store is not even asked");
}

#[tokio::test]
async fn each_address_has_its_share_of_what_needs_no_key() {
    let few = Rate { per_second: 0.1, burst: 3.0 };
    let server = Server::with(ApiConfig { open_reads: few, open_writes: few, ..ApiConfig::default() });
    let ask = async |method: &str, path: &str, from: &str| {
        let mut request = Request::builder().method(method).uri(path).body(Full::default()).unwrap();
        request.extensions_mut().insert(Peer(from.parse().unwrap()));
        server.raw(request).await
    };
    for (method, path, normal) in [("POST", "/v3/setup", 400), ("GET", "/v3/health", 200)] {
        for port in 1..=3 {
            let reply = ask(method, path, &format!("192.0.2.1:{port}")).await;
            assert_eq!(reply.status, normal, "{path}");
        }
        let refused = ask(method, path, "192.0.2.1:4").await;
        assert!(refused.headers.contains_key("retry-after"));
        assert_eq!(refused.refused(429), "too_many_requests", "{path}");
        assert_eq!(ask(method, path, "192.0.2.2:1").await.status, normal, "{path}");
    }
}

/// What the audit log says was done, by whomever.
fn rows(server: &Server) -> Vec<String> {
    let path = server.data.path().join("darsena.db");
    let database = rusqlite::Connection::open(path).unwrap();
    let mut actions = database.prepare("SELECT action FROM audit_log").unwrap();
    actions.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}
