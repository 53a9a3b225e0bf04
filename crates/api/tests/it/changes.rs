//! Changes at the same time, and changes that cannot be written.

use model::access::Role;
use serde_json::json;

use crate::server::{Server, text};

const ROUNDS: usize = 20;

#[tokio::test]
async fn of_two_changes_to_an_application_none_gets_lost() {
    let server = Server::start().await;
    let path = format!("/applications/{}", text(&server.app("shop").await["id"]));
    let project = server.post("/projects", json!({"display_name": "group"})).await.expect(201);
    let services = format!("/projects/{}/services", text(&project["id"]));
    let id = path.trim_start_matches("/applications/");
    for round in 0..ROUNDS {
        let (name, image) = (format!("shop {round}"), format!("registry.test/shop:{round}"));
        let moved = match round % 2 {
            0 => server.call("POST", &services, Some(json!({"service_id": id, "service_type": "app"}))).await,
            _ => server.call("DELETE", &format!("{services}/{id}?service_type=app"), None).await,
        };
        moved.expect(200);
        let (renamed, other_image, kept) = tokio::join!(
            server.patch(&path, json!({"display_name": name})),
            server.patch(&path, json!({"docker_image": image})),
            server.patch(&path, json!({"build_path": name, "hibernate_after_seconds": round + 1})),
        );
        for reply in [renamed, other_image, kept] {
            reply.expect(200);
        }
        let after = server.get(&path).await.expect(200);
        assert_eq!(after["display_name"], json!(name));
        assert_eq!(after["docker_image"], json!(image));
        assert_eq!(after["build_path"], json!(name));
        assert_eq!(after["project_id"].is_null(), round % 2 == 1);
    }
}

/// While the registry of a new image is slow, another change comes and goes: it stays.
#[tokio::test]
async fn a_slow_registry_takes_nobody_elses_change_back() {
    let server = Server::start().await;
    let path = format!("/applications/{}", text(&server.app("shop").await["id"]));
    let slow = server.patch(&path, json!({"docker_image": "registry.test/hangs"}));
    let quick = server.patch(&path, json!({"display_name": "Quick"}));
    let (slow, quick) = tokio::join!(slow, quick);
    assert_eq!(quick.expect(200)["docker_image"], "registry.test/shop:1", "the quick one did not wait");
    assert_eq!(slow.expect(200)["display_name"], "Quick");
}

#[tokio::test]
async fn a_right_that_is_taken_away_does_not_come_back() {
    let server = Server::start().await;
    let (id, _) = server.key(&[Role::Viewer], json!([])).await;
    let path = format!("/api-keys/{id}");
    for round in 0..ROUNDS {
        let role = if round % 2 == 0 { Role::Developer } else { Role::Viewer };
        let name = format!("key {round}");
        let (renamed, given) = tokio::join!(
            server.patch(&path, json!({"name": name})),
            server.patch(&path, json!({"role_ids": [role.id().to_string()]})),
        );
        renamed.expect(200);
        given.expect(200);
        let after = server.get(&path).await.expect(200);
        assert_eq!(after["name"], json!(name));
        assert_eq!(after["roles"][0]["name"], json!(role.as_str()));
        let toggle = format!("{path}/toggle");
        let (one, two) = tokio::join!(server.call("POST", &toggle, None), server.call("POST", &toggle, None));
        assert_ne!(one.expect(200)["is_enabled"], two.expect(200)["is_enabled"], "each switched once");
    }
}

#[tokio::test]
async fn of_two_changes_to_a_process_or_a_variable_none_gets_lost() {
    let server = Server::start().await;
    let app = format!("/applications/{}", text(&server.app("shop").await["id"]));
    let process = text(&server.get(&format!("{app}/processes")).await.expect(200)["data"][0]["id"]);
    let process = format!("{app}/processes/{process}");
    let var = server.post(&format!("{app}/env-vars"), json!({"key": "K", "value": "v"})).await.expect(201);
    let var = format!("{app}/env-vars/{}", text(&var["id"]));
    for round in 1..=ROUNDS {
        let (key, value) = (format!("K{round}"), format!("v{round}"));
        let (port, entrypoint, renamed, changed) = tokio::join!(
            server.patch(&process, json!({"port": round})),
            server.patch(&process, json!({"entrypoint": value})),
            server.call("PUT", &var, Some(json!({"key": key}))),
            server.call("PUT", &var, Some(json!({"value": value}))),
        );
        for reply in [port, entrypoint, renamed, changed] {
            reply.expect(200);
        }
        let after = server.get(&process).await.expect(200);
        assert_eq!((&after["port"], &after["entrypoint"]), (&json!(round), &json!(value)));
        let after = &server.get(&format!("{app}/env-vars")).await.expect(200)["data"][0];
        assert_eq!((&after["key"], &after["value"]), (&json!(key), &json!(value)));
    }
}

/// On a full disk the use of a key cannot be noted; who comes to look and to make room is let in all the same.
#[tokio::test]
async fn a_key_works_although_its_use_cannot_be_noted() {
    let server = Server::start().await;
    let app = server.app("shop").await;
    let (id, key) = server.key(&[Role::Owner], json!([])).await;
    let database = rusqlite::Connection::open(server.data.path().join("darsena.db")).expect("the database");
    database
        .execute_batch(
            "CREATE TRIGGER unwritable BEFORE UPDATE OF last_used_at ON api_keys
             BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
        )
        .expect("a trigger");
    let path = format!("/applications/{}", text(&app["id"]));
    server.send("GET", &path, Some(&key), None).await.expect(200);
    server.send("DELETE", &path, Some(&key), None).await.expect(200);
    let shown = server.get(&format!("/api-keys/{id}")).await.expect(200);
    assert!(shown["last_used_at"].is_null(), "the trigger held");
}

/// A backup, say. What reads goes on; what writes is told to come again, and does when the database is free.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_another_process_holds_is_said_to_be_busy() {
    let server = Server::start().await;
    let path = format!("/applications/{}/env-vars", text(&server.app("shop").await["id"]));
    let held = rusqlite::Connection::open(server.data.path().join("darsena.db")).expect("the database");
    held.execute_batch("BEGIN IMMEDIATE").expect("the write lock");
    let refused = server.post(&path, json!({"key": "K", "value": "v"})).await;
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(refused.refused(503), "database_busy");
    assert_eq!(server.get(&path).await.expect(200)["total"], json!(0), "and nothing was done");
    held.execute_batch("ROLLBACK").expect("an end");
    server.post(&path, json!({"key": "K", "value": "v"})).await.expect(201);
}
