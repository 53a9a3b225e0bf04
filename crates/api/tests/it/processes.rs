//! The web process: changes, aliases, echo and refusals.

use serde_json::{Value, json};

use crate::server::{Server, text};

async fn web(server: &Server) -> String {
    let app = text(&server.app("shop").await["id"]);
    let processes = server.get(&format!("/applications/{app}/processes")).await.expect(200);
    format!("/applications/{app}/processes/{}", text(&processes["data"][0]["id"]))
}

#[tokio::test]
async fn what_is_sent_comes_back() {
    let server = Server::start().await;
    let path = web(&server).await;
    let sent = json!({
        "display_name": "Front",
        "entrypoint": "node \"server.js\" --port 80",
        "port": 65535,
        "is_ingress_enabled": false,
        "ingress_protocol": "grpc",
        "scaling_strategy": {"type": "horizontal", "config": {
            "minInstanceCount": 1, "maxInstanceCount": 3, "targetCpuPercent": 70,
        }},
        "liveness_probe": {"tcpSocket": {"port": 80}},
        "readiness_probe": {
            "httpGet": {
                "path": "/healthz", "httpHeaders": [{"name": "x-a", "value": "b"}], "expectedStatus": 204,
            },
            "periodSeconds": 5,
        },
    });
    let changed = server.patch(&path, sent.clone()).await.expect(200);
    for (field, value) in sent.as_object().unwrap() {
        assert_eq!(&changed[field], value, "{field}");
    }
    assert_eq!(server.get(&path).await.expect(200), changed);

    let cleared = server.patch(&path, json!({"readiness_probe": null, "entrypoint": ""})).await.expect(200);
    assert_eq!((&cleared["readiness_probe"], &cleared["entrypoint"]), (&Value::Null, &json!("")));
    assert_eq!(cleared["liveness_probe"], sent["liveness_probe"], "left out, left alone");
    assert_eq!(cleared["port"], 65535);
}

#[tokio::test]
async fn the_names_of_the_cli_are_understood_and_the_real_ones_win() {
    let server = Server::start().await;
    let path = web(&server).await;
    let alias = json!({"name": "Front", "command": "run", "instances": 2, "resource_type": "s2"});
    let changed = server.patch(&path, alias).await.expect(200);
    assert_eq!((&changed["display_name"], &changed["entrypoint"]), (&json!("Front"), &json!("run")));
    assert_eq!(changed["scaling_strategy"], json!({"type": "manual", "config": {"instanceCount": 2}}));
    assert_eq!((&changed["resource_type_name"], &changed["memory_limit"]), (&json!("s2"), &json!(1024)));

    let sizes = server.get("/resources/process-resource-types").await.expect(200);
    let big = sizes.as_array().unwrap().iter().find(|size| size["name"] == "s5").unwrap();
    let both = json!({
        "name": "no", "display_name": "yes", "command": "no", "entrypoint": "yes", "instances": 9,
        "scaling_strategy": {"type": "manual", "config": {"instanceCount": 1}},
        "resource_type": "h1", "resource_type_id": big["id"],
    });
    let changed = server.patch(&path, both).await.expect(200);
    assert_eq!((&changed["display_name"], &changed["entrypoint"]), (&json!("yes"), &json!("yes")));
    assert_eq!(changed["scaling_strategy"]["config"]["instanceCount"], 1);
    assert_eq!(changed["resource_type_id"], big["id"]);
}

#[tokio::test]
async fn bad_changes_are_refused_and_change_nothing() {
    let server = Server::start().await;
    let path = web(&server).await;
    let before = server.get(&path).await.expect(200);
    for (body, word) in [
        (json!({"name": "x", "port": 0}), "port"),
        (json!({"name": "x", "port": 65536}), "65536 is not within 1 to 65535"),
        (json!({"name": "x", "port": -1}), "port"),
        (json!({"name": "x", "port": "80"}), "port"),
        (json!({"display_name": ""}), "display_name"),
        (json!({"name": "x", "entrypoint": "a\u{0}b"}), "NUL"),
        (json!({"name": "x", "entrypoint": "x".repeat(1025)}), "entrypoint"),
        (json!({"name": "x", "resource_type_id": "huge"}), "process-resource-types"),
        (json!({"name": "x", "instances": 51}), "instances"),
        (json!({"name": "x", "instances": 0}), "suspend it"),
        (
            json!({"name": "x", "scaling_strategy": {"type": "manual", "config": {"instanceCount": 0}}}),
            "suspend it",
        ),
        (
            json!({"name": "x", "scaling_strategy": {"type": "manual", "config": {"instanceCount": 51}}}),
            "instanceCount",
        ),
        (json!({"name": "x", "scaling_strategy": {"type": "auto"}}), "scaling_strategy"),
        (
            json!({"name": "x", "scaling_strategy": {"type": "horizontal",
                "config": {"minInstanceCount": 3, "maxInstanceCount": 1}}}),
            "minInstanceCount",
        ),
        (json!({"name": "x", "type": "worker"}), "type"),
        (json!({"name": "x", "schedule": "* * * * *"}), "schedule"),
        (json!({"name": "x", "ingress_protocol": "tcp"}), "ingress_protocol"),
        (json!({"name": "x", "liveness_probe": {}}), "exactly one"),
        (json!({"name": "x", "liveness_probe": {"tcpSocket": {"port": 0}}}), "port"),
        (json!({"name": "x", "readiness_probe": {"httpGet": {"path": "/a\r\nb"}}}), "%XX"),
        (json!({"name": "x", "readiness_probe": {"httpGet": {"scheme": "HTTPS"}}}), "over HTTP"),
        (json!({"name": "x", "liveness_probe": {"httpGet": {"expectedStatus": 600}}}), "expectedStatus"),
        (
            json!({"name": "x", "readiness_probe": {"tcpSocket": {"port": 1}, "periodSeconds": 0}}),
            "periodSeconds",
        ),
    ] {
        let answer = server.patch(&path, body.clone()).await.expect(400);
        assert!(answer.to_string().contains(word), "{body}: {answer}");
    }
    assert_eq!(server.get(&path).await.expect(200), before);
    let harmless = json!({"schedule": "", "time_zone": "", "type": "web", "unknown": 1});
    server.patch(&path, harmless).await.expect(200);
}

#[tokio::test]
async fn a_process_belongs_to_one_application() {
    let server = Server::start().await;
    let path = web(&server).await;
    let other = text(&server.app("other").await["id"]);
    let process = path.rsplit('/').next().unwrap();
    let foreign = format!("/applications/{other}/processes/{process}");
    server.get(&foreign).await.expect(404);
    server.patch(&foreign, json!({"port": 1})).await.expect(404);
}

#[tokio::test]
async fn whether_and_how_it_is_reached_counts_at_once() {
    let server = Server::start().await;
    let path = web(&server).await;
    let told = || server.platform.exposed.lock().unwrap().len();
    for (body, count) in [
        (json!({"port": 80, "name": "x", "readiness_probe": {"tcpSocket": {"port": 80}}}), 0),
        (json!({"ingress_protocol": "grpc"}), 1),
        (json!({"is_ingress_enabled": false}), 2),
        (json!({"ingress_protocol": "http", "is_ingress_enabled": true}), 3),
        (json!({"ingress_protocol": "http"}), 4),
    ] {
        server.patch(&path, body.clone()).await.expect(200);
        assert_eq!(told(), count, "{body}");
    }
}
