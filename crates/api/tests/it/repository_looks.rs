//! Looking into a repository.

use model::git::{BuildSettings, Recipe, Revision};
use serde_json::{Value, json};

use crate::server::{Server, text};

#[tokio::test]
async fn a_look_shows_branches_commit_and_dockerfile() {
    let server = Server::start().await;
    let credential = server.git_credential("bot").await["id"].clone();
    let body = json!({
        "repo_url": "https://git.test/acme/shop.git", "git_credential_id": credential, "branch": "next",
        "build_path": "web", "dockerfile_path": "docker/Dockerfile", "build_type": "nixpacks",
    });
    let seen = server.post("/git/inspect", body).await.expect(200);
    assert_eq!(seen["repo_url"], "https://git.test/acme/shop.git");
    assert_eq!((&seen["default_branch"], &seen["commit"]["sha"]), (&json!("main"), &json!("1".repeat(40))));
    assert_eq!(seen["branches"].as_array().unwrap().len(), 100, "of more than that the first ones");
    assert_eq!(seen["dockerfile"], json!({"text": "FROM node", "origin": "made", "detail": null}));
    let asked = server.platform.looked.lock().unwrap().pop().unwrap();
    let settings = BuildSettings {
        recipe: Recipe::Made,
        path: "web".to_owned(),
        dockerfile: "docker/Dockerfile".to_owned(),
        ..BuildSettings::default()
    };
    let id = Some(text(&credential).parse().unwrap());
    let revision = Revision::Named("next".to_owned());
    assert_eq!(asked, ("https://git.test/acme/shop.git".to_owned(), id, revision, settings));
    assert_eq!(server.get("/git/providers").await.expect(200), json!([]));
}

#[tokio::test]
async fn what_is_wrong_has_its_code_and_status() {
    let server = Server::start().await;
    for (name, status) in [
        ("git_unreachable", 502),
        ("git_unauthorized", 422),
        ("git_credential_mismatch", 422),
        ("git_host_key_changed", 422),
        ("repository_not_found", 422),
        ("revision_not_found", 422),
        ("repository_too_large", 422),
        ("repository_invalid", 422),
        ("dockerfile_not_found", 422),
        ("dockerfile_invalid", 422),
        ("timeout", 504),
        ("disk_full", 507),
    ] {
        let url = format!("https://git.test/acme/{name}");
        let reply = server.post("/git/inspect", json!({"repo_url": url})).await.expect(status);
        assert_eq!((&reply["data"]["code"], &reply["data"]["repo_url"]), (&json!(name), &json!(url)));
        assert_eq!(reply["data"]["message"], "Look at it.");
    }
    let slow = server.post("/git/inspect", json!({"repo_url": "https://git.test/acme/hangs"})).await;
    assert_eq!(slow.refused(504), "timeout");
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_not() {
    let server = Server::start().await;
    let credential = server.git_credential("bot").await["id"].clone();
    let url = "https://git.test/acme/shop";
    for (body, status) in [
        (json!({}), 400),
        (json!({"repo_url": "ext::id"}), 400),
        (json!({"repo_url": "http://git.test/x"}), 400),
        (json!({"repo_url": url, "branch": "-x"}), 400),
        (json!({"repo_url": url, "commit_sha": "123"}), 400),
        (json!({"repo_url": url, "build_path": "../x"}), 400),
        (json!({"repo_url": url, "git_credential_id": "x"}), 404),
        (json!({"repo_url": url, "git_credential_id": "3f2b8a1e-0000-4000-8000-000000000000"}), 404),
        (json!({"repo_url": "https://other.test/x", "git_credential_id": credential}), 422),
    ] {
        assert_ne!(server.post("/git/inspect", body.clone()).await.expect(status), Value::Null, "{body}");
    }
    assert!(server.platform.looked.lock().unwrap().is_empty(), "nobody was asked");
}
