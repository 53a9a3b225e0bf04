//! Looking at images: what is shown, and the table of `ImageErrorCode`.

use serde_json::json;

use crate::double::digest;
use crate::server::{CLUSTER, Server};

#[tokio::test]
async fn an_image_is_described_without_its_secrets() {
    let server = Server::start().await;
    let body = json!({"docker_image": "nginx", "docker_registry_credential_id": null});
    let image = server.post("/images/inspect", body).await.expect(200);
    assert_eq!(image["docker_image"], "nginx");
    let canonical = format!("docker.io/library/nginx:latest@{}", digest(3));
    assert_eq!(image["reference"]["canonical"], json!(canonical));
    assert_eq!(image["reference"]["tag"], "latest");
    assert_eq!(image["platform"]["architecture"], "amd64");
    assert_eq!(image["platform"]["is_supported"], true);
    assert_eq!(image["platform"]["size"], 1234);
    assert_eq!(image["platforms"][0]["is_supported"], false);
    assert_eq!(image["exposed_ports"], json!([{"port": 80, "protocol": "tcp"}]));
    assert_eq!(image["env_names"], json!(["PATH", "SECRET"]));
    assert_eq!(image["licenses"], json!(["MIT", "Apache-2.0"]));
    assert_eq!(image["cmd"], json!(null));
    assert!(!image.to_string().contains("canary"), "values stay out");

    let pinned = format!("nginx@{}", digest(3));
    let image = server.post("/images/inspect", json!({"docker_image": pinned})).await.expect(200);
    assert_eq!(image["reference"]["tag"], json!(null));
    assert_eq!(image["reference"]["canonical"], json!(format!("docker.io/library/{pinned}")));
}

#[tokio::test]
async fn every_cause_has_its_status() {
    let server = Server::start().await;
    for (code, status) in [
        ("credential_host_mismatch", 422),
        ("registry_unreachable", 502),
        ("registry_tls_invalid", 502),
        ("registry_timeout", 504),
        ("registry_error", 502),
        ("rate_limited", 429),
        ("credential_rejected", 422),
        ("credential_scope_missing", 422),
        ("registry_unauthorized", 422),
        ("image_access_denied", 422),
        ("image_not_found", 422),
        ("tag_not_found", 422),
        ("digest_not_found", 422),
        ("manifest_invalid", 422),
        ("manifest_unsupported", 422),
        ("config_invalid", 422),
        ("platform_missing", 422),
    ] {
        let image = format!("registry.test:5000/{code}:1");
        let reply = server.post("/images/inspect", json!({"docker_image": image})).await;
        let wait = reply.headers.get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(wait.as_deref(), (code == "rate_limited").then_some("91"), "{code}");
        let body = reply.expect(status);
        assert_eq!(body["data"]["code"], code);
        assert_eq!(body["data"]["docker_image"], json!(image));
        assert_eq!(body["data"]["registry_host"], "registry.test:5000");
        let platforms = &body["data"]["available_platforms"];
        assert_eq!(platforms.is_array(), code == "platform_missing");
    }
}

#[tokio::test]
async fn what_is_no_reference_or_no_credential_is_refused() {
    let server = Server::start().await;
    for bad in ["", "UPPER", "a b", "https://nginx", "nginx:", "nginx@sha256:00", &"x".repeat(513)] {
        server.post("/images/inspect", json!({"docker_image": bad})).await.expect(400);
    }
    let body = json!({"docker_image": "nginx", "docker_registry_credential_id": CLUSTER});
    assert_eq!(server.post("/images/inspect", body).await.refused(404), "not_found");
}

#[tokio::test]
async fn a_registry_that_hangs_is_given_up_in_time() {
    let server = Server::start().await;
    let answer =
        server.post("/images/inspect", json!({"docker_image": "registry.test/hangs"})).await.expect(504);
    assert_eq!(answer["data"]["code"], "registry_timeout");
}
