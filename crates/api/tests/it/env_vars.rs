//! Variables: exact echo, names, sizes.

use serde_json::{Value, json};

use crate::server::{Server, text};

async fn path(server: &Server) -> String {
    format!("/applications/{}/env-vars", text(&server.app("shop").await["id"]))
}

#[tokio::test]
async fn names_and_values_come_back_byte_for_byte() {
    let server = Server::start().await;
    let path = path(&server).await;
    let longest = "é".repeat(32_768);
    for (key, value) in [
        ("PLAIN", "value"),
        ("EMPTY", ""),
        ("MIXED", " $(id) `id` \"quoted\" 'quoted' \r\n\t\u{1b}[31m ☕ "),
        ("A B", "a name with a space"),
        ("BASH_FUNC_x%%", "() { :; }"),
        ("LD_PRELOAD", "/x.so"),
        ("LONG", longest.as_str()),
    ] {
        let made = server.post(&path, json!({"key": key, "value": value})).await.expect(201);
        assert_eq!((&made["key"], &made["value"]), (&json!(key), &json!(value)));
        assert_eq!((&made["is_runtime"], &made["is_buildtime"]), (&json!(true), &json!(true)));
    }
    let list = server.get(&path).await.expect(200);
    assert_eq!((&list["total"], &list["limit"]), (&json!(7), &json!(100)));
    assert_eq!(list["data"][0]["key"], "PLAIN", "oldest first");
    assert_eq!(list["data"][6]["value"], json!(longest));
}

#[tokio::test]
async fn a_change_is_partial() {
    let server = Server::start().await;
    let path = path(&server).await;
    let made = server.post(&path, json!({"key": "A", "value": "1", "is_buildtime": false})).await.expect(201);
    let one = format!("{path}/{}", text(&made["id"]));
    let changed = server.call("PUT", &one, Some(json!({"value": "2"}))).await.expect(200);
    assert_eq!(
        (&changed["key"], &changed["value"], &changed["is_buildtime"]),
        (&json!("A"), &json!("2"), &json!(false))
    );
    let renamed = server.call("PUT", &one, Some(json!({"key": "B", "is_runtime": false}))).await.expect(200);
    assert_eq!(
        (&renamed["key"], &renamed["value"], &renamed["is_runtime"]),
        (&json!("B"), &json!("2"), &json!(false))
    );
    server.call("DELETE", &one, None).await.expect(200);
    server.call("DELETE", &one, None).await.expect(404);
    server.call("PUT", &one, Some(json!({"value": "3"}))).await.expect(404);
}

#[tokio::test]
async fn what_execve_cannot_take_is_refused() {
    let server = Server::start().await;
    let path = path(&server).await;
    let kept = server.post(&path, json!({"key": "KEPT", "value": "1"})).await.expect(201);
    for body in [
        json!({"key": "", "value": "x"}),
        json!({"key": "A=B", "value": "x"}),
        json!({"key": "A\u{0}", "value": "x"}),
        json!({"key": "A".repeat(256), "value": "x"}),
        json!({"key": "A", "value": "x\u{0}"}),
        json!({"key": "A", "value": "x".repeat(32_769)}),
        json!({"key": "A"}),
        json!({"key": "A", "value": 1}),
        json!({"key": "KEPT", "value": "again"}),
        Value::Null,
    ] {
        server.post(&path, body).await.expect(400);
    }
    server.call("POST", &path, None).await.expect(400);
    let other = server.post(&path, json!({"key": "OTHER", "value": "1"})).await.expect(201);
    let other = format!("{path}/{}", text(&other["id"]));
    server.call("PUT", &other, Some(json!({"key": "KEPT"}))).await.expect(400);
    let list = server.get(&path).await.expect(200);
    assert_eq!(list["total"], 2);
    assert_eq!(list["data"][0]["value"], kept["value"]);
}
