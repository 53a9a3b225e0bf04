//! Applications: what is made, echoed, changed and refused.

use model::deployment::State;
use serde_json::{Value, json};

use crate::server::{CLUSTER, Server, new_app, text};

#[tokio::test]
async fn a_new_application_has_a_web_process_and_no_deployment() {
    let server = Server::start().await;
    let app = server.post("/applications", new_app("My Shop!", "nginx")).await.expect(201);
    assert_eq!(app["name"], "my-shop");
    assert_eq!(app["display_name"], "My Shop!");
    assert_eq!(app["docker_image"], "nginx", "echo: the text as it was sent");
    assert_eq!(app["status"], Value::Null);
    assert_eq!(app["project_id"], Value::Null);
    assert_eq!(app["docker_image_digest"], Value::Null);
    assert_eq!(app["url"], "http://my-shop.localhost:8080/");
    let path = format!("/applications/{}", text(&app["id"]));
    assert_eq!(server.get(&path).await.expect(200), app);
    let processes = server.get(&format!("{path}/processes")).await.expect(200);
    assert_eq!(processes["total"], 1);
    assert_eq!(processes["data"][0]["key"], "web");
    assert_eq!(processes["data"][0]["resource_type_name"], "s1");
    assert_eq!(server.get(&format!("{path}/deployments")).await.expect(200)["total"], 0);
}

#[tokio::test]
async fn bad_applications_are_refused_in_words() {
    let server = Server::start().await;
    let good = new_app("shop", "nginx");
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    for (body, code, word) in [
        (with("docker_image", json!("Nginx:")), "image_reference_invalid", "docker_image"),
        (with("docker_image", json!("https://nginx")), "image_reference_invalid", "docker_image"),
        (with("docker_image", Value::Null), "validation_failed", "docker_image"),
        (with("display_name", json!("x")), "validation_failed", "display_name"),
        (with("display_name", json!("!!!")), "validation_failed", "display_name"),
        (with("display_name", json!("日本")), "validation_failed", "a letter from a to z"),
        (with("display_name", json!("api")), "validation_failed", "reserved"),
        (with("display_name", json!("a\r\nb")), "validation_failed", "control character"),
        (with("display_name", json!(7)), "validation_failed", "display_name"),
        (with("cluster_id", json!("5a12e003-0000-4000-8000-000000000002")), "validation_failed", "cluster"),
        (with("cluster_id", json!("x")), "validation_failed", "cluster_id"),
        (with("source", json!("publicGit")), "validation_failed", "repo_url"),
        (with("source", json!("app")), "validation_failed", "only the platform"),
        (with("source", json!("floppy")), "validation_failed", "source"),
        (with("project_id", json!(CLUSTER)), "validation_failed", "project"),
        (with("docker_registry_credential_id", json!(CLUSTER)), "validation_failed", "credential"),
        (with("image_policy", json!("watch")), "validation_failed", "image_policy"),
        (json!({"display_name": "shop"}), "validation_failed", "cluster_id"),
    ] {
        let answer = server.post("/applications", body.clone()).await.expect(400);
        assert_eq!(answer["data"]["code"], code, "{body}: {answer}");
        assert!(answer.to_string().contains(word), "{body}: {answer}");
    }
    assert_eq!(server.get("/applications").await.expect(200)["total"], 0, "nothing is half made");
}

#[tokio::test]
async fn a_name_is_taken_once_on_the_whole_installation() {
    let server = Server::start().await;
    server.app("shop").await;
    let answer = server.post("/applications", new_app("Shop", "nginx")).await.expect(400);
    assert_eq!(answer["data"]["code"], "name_taken");
    assert!(answer["message"].as_str().unwrap().contains("shop"), "{answer}");
}

#[tokio::test]
async fn only_a_missing_platform_stops_the_creation() {
    let server = Server::start().await;
    let answer =
        server.post("/applications", new_app("arm", "registry.test/platform_missing")).await.expect(422);
    assert_eq!(answer["data"]["code"], "platform_missing");
    assert_eq!(answer["data"]["available_platforms"], json!(["linux/arm64"]));
    for trouble in ["registry_unreachable", "image_not_found", "rate_limited", "broken"] {
        let name = trouble.replace('_', "-");
        server.post("/applications", new_app(&name, &format!("registry.test/{trouble}"))).await.expect(201);
    }
}

#[tokio::test]
async fn a_registry_that_hangs_does_not_stop_the_creation() {
    let server = Server::start().await;
    server.post("/applications", new_app("slow", "registry.test/hangs")).await.expect(201);
}

#[tokio::test]
async fn only_the_fields_present_are_changed() {
    let server = Server::start().await;
    let app = server.app("shop").await;
    let path = format!("/applications/{}", text(&app["id"]));
    // What the Terraform provider sends for an image application right after creation.
    let settings = json!({
        "build_type": "dockerfile",
        "build_path": ".",
        "dockerfile_path": "Dockerfile",
        "docker_context": ".",
        "allow_deploy_paths": [],
        "ignore_deploy_paths": ["docs/**"],
        "buildpacks": [{"order": 1, "source": "heroku/nodejs"}],
        "hibernation_enabled": false,
        "hibernate_after_seconds": 3600,
        "build_cache_enabled": true,
    });
    let changed = server.patch(&path, settings.clone()).await.expect(200);
    for (field, value) in settings.as_object().unwrap() {
        if field != "buildpacks" {
            assert_eq!(&changed[field], value, "{field}");
        }
    }
    assert_eq!(changed["buildpacks"][0]["source"], "heroku/nodejs");
    assert_eq!(changed["docker_image"], app["docker_image"]);

    let renamed =
        server.patch(&path, json!({"display_name": "Other", "docker_image": "nginx:1.27"})).await.expect(200);
    assert_eq!(renamed["name"], "shop", "the name is fixed for life");
    assert_eq!(renamed["display_name"], "Other");
    assert_eq!(renamed["docker_image"], "nginx:1.27");
    assert_eq!(renamed["docker_context"], ".");
    assert_eq!(server.get(&path).await.expect(200), renamed);
}

/// The Terraform provider plans what another build type has as null, and calls anything else an error.
#[tokio::test]
async fn settings_of_another_build_type_are_dropped() {
    let server = Server::start().await;
    let path = format!("/applications/{}", text(&server.app("shop").await["id"]));
    let fields = ["dockerfile_path", "docker_context", "pack_builder", "nixpacks_version"];
    for (change, expected) in [
        (
            json!({"build_type": "dockerfile", "dockerfile_path": "Dockerfile", "docker_context": "."}),
            [json!("Dockerfile"), json!("."), Value::Null, Value::Null],
        ),
        (
            json!({"build_type": "nixpacks", "nixpacks_version": "1.41"}),
            [Value::Null, Value::Null, Value::Null, json!("1.41")],
        ),
        (
            json!({"build_type": "pack", "pack_builder": "heroku/builder:24"}),
            [Value::Null, Value::Null, json!("heroku/builder:24"), Value::Null],
        ),
        (
            json!({"dockerfile_path": "x"}),
            [Value::Null, Value::Null, json!("heroku/builder:24"), Value::Null],
        ),
        (json!({"build_type": "dockerfile"}), [Value::Null, Value::Null, Value::Null, Value::Null]),
    ] {
        let after = server.patch(&path, change.clone()).await.expect(200);
        assert_eq!(fields.map(|field| after[field].clone()), expected, "{change}");
        assert_eq!(server.get(&path).await.expect(200), after);
    }
}

#[tokio::test]
async fn what_is_not_a_clients_to_set_is_never_applied() {
    let server = Server::start().await;
    let app = server.app("shop").await;
    let path = format!("/applications/{}", text(&app["id"]));
    let attack = json!({
        "id": CLUSTER, "company_id": CLUSTER, "name": "other", "created_by": "me", "is_suspended": true,
        "status": "deploymentSuccess", "serving_deployment_id": CLUSTER, "url": "http://evil/",
    });
    let mut after = server.patch(&path, attack).await.expect(200);
    after["updated_at"] = app["updated_at"].clone();
    assert_eq!(after, app);
}

#[tokio::test]
async fn bad_changes_are_refused_and_change_nothing() {
    let server = Server::start().await;
    let app = server.app("shop").await;
    let path = format!("/applications/{}", text(&app["id"]));
    for body in [
        json!({"display_name": "New", "docker_image": "UPPER/case"}),
        json!({"display_name": "New", "source": "privateGit"}),
        json!({"display_name": "New", "hibernate_after_seconds": 0}),
        json!({"display_name": "New", "hibernate_after_seconds": 604_801}),
        json!({"display_name": "New", "allow_deploy_paths": ["a"], "ignore_deploy_paths": ["b"]}),
        json!({"display_name": "New", "docker_registry_credential_id": CLUSTER}),
        json!({"display_name": ""}),
        json!([]),
    ] {
        server.patch(&path, body).await.expect(400);
    }
    server.patch(&path, json!({"docker_image": "registry.test/platform_missing"})).await.expect(422);
    server.patch(&path, json!({"docker_registry_credential_id": null})).await.expect(200);
    let after = server.get(&path).await.expect(200);
    assert_eq!(
        (&after["display_name"], &after["docker_image"]),
        (&app["display_name"], &app["docker_image"])
    );
}

#[tokio::test]
async fn the_list_is_paged_newest_first() {
    let server = Server::start().await;
    for name in ["one", "two", "three"] {
        server.app(name).await;
    }
    let page = server.get("/applications?limit=2&offset=1&unknown=x").await.expect(200);
    let names: Vec<_> = page["data"].as_array().unwrap().iter().map(|app| text(&app["name"])).collect();
    assert_eq!(names, ["two", "one"]);
    assert_eq!((&page["total"], &page["limit"], &page["offset"]), (&json!(3), &json!(2), &json!(1)));
    let capped = server.get("/applications?limit=1000000000&offset=-1").await.expect(200);
    assert_eq!((&capped["limit"], &capped["offset"]), (&json!(100), &json!(0)));
}

#[tokio::test]
async fn an_application_is_suspended_activated_and_removed() {
    let server = Server::start().await;
    let path = format!("/applications/{}", text(&server.app("shop").await["id"]));
    server.call("POST", &format!("{path}/suspend"), None).await.expect(200);
    server.call("POST", &format!("{path}/suspend"), None).await.expect(200);
    assert_eq!(server.get(&path).await.expect(200)["is_suspended"], true);
    server.call("POST", &format!("{path}/activate"), None).await.expect(200);
    assert_eq!(server.get(&path).await.expect(200)["is_suspended"], false);

    let deployment = server.call("POST", &format!("{path}/deployments"), None).await.expect(200);
    let app = server.get(&path).await.expect(200);
    let (company, app) = (text(&app["company_id"]).parse().unwrap(), text(&app["id"]).parse().unwrap());
    let id = text(&deployment["id"]);
    server.platform.put(company, app, id.parse().unwrap(), State::Pulling).await;
    let refused = server.call("DELETE", &path, None).await.refused(400);
    assert_eq!(refused, "deployment_in_progress");
    server.call("POST", &format!("{path}/deployments/{id}/cancel"), None).await.expect(200);
    server.call("DELETE", &path, None).await.expect(200);
    server.call("DELETE", &path, None).await.expect(404);
}
