//! Registry credentials: kept secret, checked, used for their own registry, seen and changed by who may.

use std::time::Duration;

use model::access::Role;
use serde_json::{Value, json};

use crate::matrix::foreign_owner;
use crate::server::{CLUSTER, Server, new_app, new_credential, text};

const LIST: &str = "/docker-registries";

fn path_of(credential: &Value) -> String {
    format!("{LIST}/{}", text(&credential["id"]))
}

#[tokio::test]
async fn a_credential_is_saved_at_once_and_tried_in_the_background() {
    let server = Server::start().await;
    let body = json!({
        "name": "Team ☕", "registry": "github", "username": "Acme-Bot", "secret": "canary-secret\n",
        "company_id": CLUSTER, "status": "valid",
    });
    let made = server.post(LIST, body).await.expect(201);
    assert_eq!((&made["name"], &made["username"]), (&json!("Team ☕"), &json!("Acme-Bot")), "echo");
    assert_eq!((&made["host"], &made["status"]), (&json!("ghcr.io"), &json!("unverified")));
    assert_eq!((&made["used_by"], &made["last_verified_at"]), (&json!([]), &Value::Null));
    let me = server.get("/api-keys/me").await.expect(200);
    assert_eq!(made["company_id"], me["company_id"], "whatever the body says");
    let id = text(&made["id"]).parse().expect("an id");
    assert_eq!(*server.platform.background.lock().unwrap(), [id]);
    assert!(server.platform.logins.lock().unwrap().is_empty());
    let company = text(&made["company_id"]).parse().expect("an id");
    let secret = server.store.company(company).credential_with_secret(id).await.expect("a secret").1;
    assert_eq!(secret.expose(), "canary-secret", "without the line break at its end");
}

#[tokio::test]
async fn what_is_left_out_has_a_default() {
    let server = Server::start().await;
    let plain = json!({"name": "hub", "username": "me", "secret": "t"});
    let hub = server.post(LIST, plain).await.expect(201);
    assert_eq!((&hub["registry"], &hub["host"]), (&json!("dockerHub"), &json!("docker.io")));
    let amazon = json!({"name": "ecr", "registry": "ecr", "username": "AWS", "secret": "t", "host": null});
    let amazon = server.post(LIST, amazon).await.expect(201);
    assert!(amazon.as_object().unwrap()["host"].is_null(), "every registry of Amazon");
    assert_eq!(server.platform.background.lock().unwrap().len(), 1, "there is no host to try it at");
    let list = server.get(LIST).await.expect(200);
    assert_eq!((&list["total"], &list["data"][0]["name"]), (&json!(2), &json!("ecr")), "newest first");
}

#[tokio::test]
async fn bad_credentials_are_refused_and_nothing_shows_the_secret() {
    let server = Server::start().await;
    let with = |field: &str, value: Value| {
        let mut body = new_credential("team", "bot");
        body[field] = value;
        body
    };
    for (body, code, word) in [
        (with("name", json!("")), "validation_failed", "name"),
        (with("name", json!("a\nb")), "validation_failed", "control"),
        (with("name", json!("x".repeat(256))), "validation_failed", "name"),
        (with("registry", json!("quay")), "validation_failed", "registry"),
        (with("username", json!("a:b")), "validation_failed", "colon"),
        (with("username", json!("")), "validation_failed", "username"),
        (with("secret", json!("")), "validation_failed", "secret"),
        (with("secret", json!("********")), "validation_failed", "in place of a secret"),
        (with("secret", json!("canary-secret\n\n")), "validation_failed", "empty lines"),
        (with("secret", json!(735_173)), "validation_failed", "must be a text"),
        (with("secret", Value::Null), "validation_failed", "secret"),
        (with("host", Value::Null), "registry_host_required", "registry.example.com:5000"),
        (with("host", json!("https://registry.test/v2/")), "validation_failed", "write registry.test"),
        (with("host", json!("registry.test.")), "validation_failed", "host"),
        (with("host", json!("gh\u{441}r.io")), "validation_failed", "U+0441"),
        (with("registry", json!("dockerHub")), "validation_failed", "with registry custom"),
        (json!({"name": "x", "username": "y"}), "validation_failed", "secret"),
    ] {
        let answer = server.post(LIST, body.clone()).await.expect(400);
        assert_eq!(answer["data"]["code"], code, "{body}: {answer}");
        assert!(answer.to_string().contains(word), "{body}: {answer}");
        assert!(!answer.to_string().contains("canary") && !answer.to_string().contains("735173"), "{answer}");
    }
    assert_eq!(server.get(LIST).await.expect(200)["total"], 0);
}

#[tokio::test]
async fn a_login_that_is_tried_first_is_saved_when_it_is_right() {
    let server = Server::start().await;
    let verified = format!("{LIST}?verify=true");
    let made = server.post(&verified, new_credential("team", "bot")).await.expect(201);
    assert_eq!(made["status"], "valid");
    assert!(made["last_verified_at"].is_string());
    let tried = ("registry.test".to_owned(), "bot".to_owned(), "canary-secret".to_owned());
    assert_eq!(*server.platform.logins.lock().unwrap(), [tried]);
    assert!(server.platform.background.lock().unwrap().is_empty(), "once is enough");
    let kept = server.get(&path_of(&made)).await.expect(200);
    assert_eq!(kept, made);
}

/// What the registry's answer means, for `?verify=true` and for `verify`.
#[tokio::test]
async fn every_answer_of_a_registry_has_its_status() {
    let server = Server::start().await;
    let verified = format!("{LIST}?verify=true");
    let cases = [
        ("credential_rejected", 422),
        ("credential_scope_missing", 422),
        ("registry_unreachable", 502),
        ("registry_tls_invalid", 502),
        ("registry_error", 502),
        ("registry_timeout", 504),
        ("hangs", 504),
        ("rate_limited", 429),
    ];
    for (username, status) in cases {
        let code = if username == "hangs" { "registry_timeout" } else { username };
        let reply = server.post(&verified, new_credential("team", username)).await;
        assert_eq!(reply.headers.contains_key("retry-after"), username == "rate_limited");
        let answer = reply.expect(status);
        assert_eq!(
            (&answer["data"]["code"], &answer["data"]["registry_host"]),
            (&json!(code), &json!("registry.test"))
        );
        let detail = text(&answer["data"]["message"]);
        assert!(detail.ends_with("Nothing was saved.") && !detail.contains(".."), "{detail}");
        assert!(!answer.to_string().contains("canary"), "{answer}");
    }
    assert_eq!(server.get(LIST).await.expect(200)["total"], 0);

    for (username, status) in cases {
        let made = server.post(LIST, new_credential("team", username)).await.expect(201);
        let reply = server.call("POST", &format!("{}/verify", path_of(&made)), None).await;
        let after = server.get(&path_of(&made)).await.expect(200);
        if status == 422 {
            let answer = reply.expect(200);
            assert_eq!((&answer["status"], &answer["code"]), (&json!("rejected"), &json!(username)));
            assert_eq!(
                (&answer["host"], &answer["hint"]),
                (&json!("registry.test"), &json!("Make a new token."))
            );
            assert_eq!(after["status"], "rejected");
            assert_eq!(after["last_verified_at"], answer["last_verified_at"]);
        } else {
            reply.expect(status);
            assert_eq!((&after["status"], &after["last_verified_at"]), (&json!("unverified"), &Value::Null));
        }
    }
}

#[tokio::test]
async fn verify_stores_a_yes() {
    let server = Server::start().await;
    let made = server.credential("team").await;
    let answer = server.call("POST", &format!("{}/verify", path_of(&made)), None).await.expect(200);
    assert_eq!((&answer["status"], &answer["code"]), (&json!("valid"), &Value::Null));
    let after = server.get(&path_of(&made)).await.expect(200);
    assert_eq!(
        (&after["status"], &after["last_verified_at"]),
        (&json!("valid"), &answer["last_verified_at"])
    );
}

#[tokio::test]
async fn without_a_host_there_is_nothing_to_try() {
    let server = Server::start().await;
    let body = json!({"name": "ecr", "registry": "ecr", "username": "AWS", "secret": "t"});
    assert_eq!(
        server.post(&format!("{LIST}?verify=true"), body.clone()).await.refused(422),
        "credential_host_mismatch"
    );
    let made = server.post(LIST, body).await.expect(201);
    let verify = server.call("POST", &format!("{}/verify", path_of(&made)), None).await;
    assert_eq!(verify.refused(422), "credential_host_mismatch");
    assert!(server.platform.logins.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_stored_secret_goes_nowhere_else() {
    let server = Server::start().await;
    let made = server.post(&format!("{LIST}?verify=true"), new_credential("team", "bot")).await.expect(201);
    let path = path_of(&made);
    for query in ["", "?verify=true"] {
        for body in [
            json!({"host": "evil.tld"}),
            json!({"host": "registry.test:5000"}),
            json!({"registry": "github"}),
            json!({"username": "other"}),
            json!({"username": "other", "secret": "********"}),
        ] {
            let answer = server.patch(&format!("{path}{query}"), body).await.expect(400);
            assert!(answer["data"]["message"].as_str().unwrap().contains("secret"), "{answer}");
        }
    }
    assert_eq!(server.platform.logins.lock().unwrap().len(), 1, "nobody was asked");
    assert_eq!(server.get(&path).await.expect(200), made, "nothing changed");

    let same =
        json!({"name": "renamed", "registry": "custom", "host": "Registry.TEST:443", "username": "bot"});
    let renamed = server.patch(&path, same).await.expect(200);
    assert_eq!((&renamed["name"], &renamed["status"]), (&json!("renamed"), &json!("valid")));
    let moved = json!({"registry": "github", "secret": "new"});
    let moved = server.patch(&path, moved).await.expect(200);
    assert_eq!((&moved["host"], &moved["status"]), (&json!("ghcr.io"), &json!("unverified")));
    assert_eq!(moved["last_verified_at"], Value::Null);
    assert_eq!(server.platform.background.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_change_that_is_tried_first_is_saved_when_it_is_right() {
    let server = Server::start().await;
    let made = server.credential("team").await;
    let verified = format!("{}?verify=true", path_of(&made));
    for (username, status) in [("credential_rejected", 422), ("registry_unreachable", 502), ("hangs", 504)] {
        let body = json!({"name": "new", "username": username, "secret": "canary-other"});
        let answer = server.patch(&verified, body).await.expect(status);
        assert!(!answer.to_string().contains("canary"));
        assert_eq!(server.get(&path_of(&made)).await.expect(200), made);
    }
    let changed = server.patch(&verified, json!({"username": "bot2", "secret": "other"})).await.expect(200);
    assert_eq!((&changed["status"], &changed["username"]), (&json!("valid"), &json!("bot2")));
    let renamed = server.patch(&verified, json!({"name": "new"})).await.expect(200);
    assert_eq!((&renamed["status"], &renamed["name"]), (&json!("valid"), &json!("new")));
    let tried: Vec<_> = server.platform.logins.lock().unwrap().iter().map(|login| login.2.clone()).collect();
    assert_eq!(
        tried,
        ["canary-other", "canary-other", "canary-other", "other"],
        "a new name is no new login"
    );
}

/// While a login is tried, a change of the account comes and goes: what is saved was tried as it is.
#[tokio::test]
async fn a_slow_check_saves_no_login_that_was_not_tried() {
    let server = Server::patient().await;
    let path = path_of(&server.credential("team").await);
    let verified = format!("{path}?verify=true");
    let slow = server.patch(&verified, json!({"secret": "waits"}));
    let quick = async {
        let tries = || server.platform.logins.lock().unwrap().len();
        while tries() == 0 {
            tokio::task::yield_now().await;
        }
        server.patch(&path, json!({"username": "two", "secret": "two"})).await.expect(200);
        server.platform.answers.add_permits(2);
    };
    let both = async { tokio::join!(slow, quick) };
    let (slow, ()) = tokio::time::timeout(Duration::from_secs(60), both).await.expect("both come to an end");
    let after = slow.expect(200);
    assert_eq!((&after["username"], &after["status"]), (&json!("two"), &json!("valid")));
    let tried = |username: &str| ("registry.test".to_owned(), username.to_owned(), "waits".to_owned());
    assert_eq!(*server.platform.logins.lock().unwrap(), [tried("bot"), tried("two")]);
}

#[tokio::test]
async fn a_credential_in_use_is_not_removed_by_accident() {
    let server = Server::start().await;
    let made = server.credential("team").await;
    let path = path_of(&made);
    let mut body = new_app("shop", "registry.test/shop:1");
    body["docker_registry_credential_id"] = made["id"].clone();
    let app = server.post("/applications", body).await.expect(201);
    assert_eq!(server.get(&path).await.expect(200)["used_by"], json!([app["id"]]));
    assert_eq!(server.get(LIST).await.expect(200)["data"][0]["used_by"], json!([app["id"]]));
    for refused in ["", "?force=false", "?force=1"] {
        let answer = server.call("DELETE", &format!("{path}{refused}"), None).await.expect(409);
        assert_eq!(answer["data"]["code"], "docker_registry_in_use");
        assert_eq!(answer["data"]["applications"], json!([{"id": app["id"], "display_name": "shop"}]));
        assert!(answer["data"]["message"].as_str().unwrap().contains("1 application."), "{answer}");
    }
    let limited = json!([{"permission": "REGISTRY_CREDENTIAL:DELETE"}]);
    let (_, key) = server.key(&[], limited).await;
    let answer = server.send("DELETE", &path, Some(&key), None).await.expect(409);
    assert_eq!(answer["data"]["applications"], json!([]), "who may not see applications does not");

    server.call("DELETE", &format!("{path}?force=true"), None).await.expect(200);
    server.get(&path).await.expect(404);
    let app = server.get(&format!("/applications/{}", text(&app["id"]))).await.expect(200);
    assert_eq!(app["docker_registry_credential_id"], Value::Null);
}

#[tokio::test]
async fn a_developer_picks_and_a_viewer_sees_names() {
    let server = Server::start().await;
    let made = server.credential("team").await;
    let path = path_of(&made);
    let (_, viewer) = server.key(&[Role::Viewer], json!([])).await;
    let (_, developer) = server.key(&[Role::Developer], json!([])).await;
    let list = server.send("GET", LIST, Some(&viewer), None).await.expect(200);
    let one = server.send("GET", &path, Some(&viewer), None).await.expect(200);
    assert_eq!(list["data"][0], one);
    let fields: Vec<_> = one.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["company_id", "created_at", "id", "name", "registry", "updated_at", "username"]);
    assert_eq!((&one["name"], &one["username"]), (&json!("team"), &json!("")));

    assert_eq!(server.send("GET", &path, Some(&developer), None).await.expect(200), made);
    for (method, path, body) in [
        ("POST", LIST.to_owned(), Some(new_credential("other", "bot"))),
        ("PATCH", path.clone(), Some(json!({"name": "mine"}))),
        ("DELETE", path.clone(), None),
        ("POST", format!("{path}/verify"), None),
    ] {
        for key in [&viewer, &developer] {
            server.send(method, &path, Some(key), body.clone()).await.expect(403);
        }
    }
    let mut body = new_app("shop", "registry.test/shop:1");
    body["docker_registry_credential_id"] = made["id"].clone();
    let app = server.send("POST", "/applications", Some(&developer), Some(body)).await.expect(201);
    assert_eq!(app["docker_registry_credential_id"], made["id"]);
}

#[tokio::test]
async fn a_key_for_one_credential_sees_and_picks_that_one_only() {
    let server = Server::start().await;
    let own = server.credential("own").await;
    let other = server.credential("other").await;
    let one =
        |word: &str| json!({"permission": format!("REGISTRY_CREDENTIAL:{word}"), "id_resource": own["id"]});
    let make_apps = json!({"permission": "APP:*"});
    let (_, key) = server.key(&[], json!([one("READ"), one("UPDATE"), make_apps])).await;
    let list = server.send("GET", LIST, Some(&key), None).await.expect(200);
    assert_eq!((&list["total"], &list["data"][0]), (&json!(1), &own));
    server.send("GET", &path_of(&other), Some(&key), None).await.expect(404);
    server.send("PATCH", &path_of(&other), Some(&key), Some(json!({"name": "x"}))).await.expect(404);
    server.send("PATCH", &path_of(&own), Some(&key), Some(json!({"name": "x"}))).await.expect(200);
    for (credential, status) in [(&own, 201), (&other, 400)] {
        let mut body = new_app(&format!("a{status}"), "registry.test/shop:1");
        body["docker_registry_credential_id"] = credential["id"].clone();
        server.send("POST", "/applications", Some(&key), Some(body)).await.expect(status);
    }
}

/// A3: the credential of another company is none, wherever its id is put.
#[tokio::test]
async fn a_foreign_credential_does_not_exist() {
    let server = Server::start().await;
    let stranger = foreign_owner(&server).await;
    let made = server.credential("team").await;
    let path = path_of(&made);
    let send = |method: &'static str, path: String, body: Option<Value>| {
        let (server, stranger) = (&server, &stranger);
        async move { server.send(method, &path, Some(stranger), body).await }
    };
    assert_eq!(send("GET", LIST.into(), None).await.expect(200)["total"], 0);
    send("GET", path.clone(), None).await.expect(404);
    send("PATCH", path.clone(), Some(json!({"name": "mine"}))).await.expect(404);
    send("DELETE", format!("{path}?force=true"), None).await.expect(404);
    send("POST", format!("{path}/verify"), None).await.expect(404);
    let image = json!({"docker_image": "registry.test/shop", "docker_registry_credential_id": made["id"]});
    send("POST", "/images/inspect".into(), Some(image)).await.expect(404);
    let app =
        send("POST", "/applications".into(), Some(new_app("theirs", "registry.test/shop"))).await.expect(201);
    let pick = json!({"docker_registry_credential_id": made["id"]});
    send("PATCH", format!("/applications/{}", text(&app["id"])), Some(pick.clone())).await.expect(400);
    let mut body = new_app("theirs-too", "registry.test/shop");
    body["docker_registry_credential_id"] = made["id"].clone();
    send("POST", "/applications".into(), Some(body)).await.expect(400);
    assert_eq!(server.get(&path).await.expect(200), made, "nothing of it had an effect");
    assert!(server.platform.inspected.lock().unwrap().iter().all(|(_, credential)| credential.is_none()));
}

#[tokio::test]
async fn an_application_takes_changes_and_gives_back_its_credential() {
    let server = Server::start().await;
    let made = server.credential("team").await;
    let id = || made["id"].clone();
    let path = format!("/applications/{}", text(&server.app("shop").await["id"]));
    let pick = server.patch(&path, json!({"docker_registry_credential_id": id()})).await.expect(200);
    assert_eq!(pick["docker_registry_credential_id"], id());
    // Image and credential can be changed one after the other; the deployment says when they do not fit.
    let moved = json!({"docker_image": "other.test/shop:1"});
    let moved = server.patch(&path, moved).await.expect(200);
    assert_eq!(
        (&moved["docker_image"], &moved["docker_registry_credential_id"]),
        (&json!("other.test/shop:1"), &id())
    );
    let all = json!({
        "display_name": "Shop", "docker_image": "other.test/shop:1", "docker_registry_credential_id": id(),
    });
    assert_eq!(server.patch(&path, all).await.expect(200)["display_name"], "Shop");
    // A key that may change applications and pick nothing can send back what it was given.
    let (_, key) = server.key(&[], json!([{"permission": "APP:UPDATE"}])).await;
    let again = json!({"display_name": "Shop 2", "docker_registry_credential_id": id()});
    server.send("PATCH", &path, Some(&key), Some(again)).await.expect(200);
    let none = server.patch(&path, json!({"docker_registry_credential_id": null})).await.expect(200);
    assert_eq!(none["docker_registry_credential_id"], Value::Null);
    let pick = Some(json!({"docker_registry_credential_id": id()}));
    server.send("PATCH", &path, Some(&key), pick).await.expect(400);
}

#[tokio::test]
async fn an_image_is_looked_at_with_the_credential_that_fits() {
    let server = Server::start().await;
    let made = server.credential("team").await;
    let id = text(&made["id"]).parse().expect("an id");
    let ask = |image: &str| json!({"docker_image": image, "docker_registry_credential_id": made["id"]});
    server.post("/images/inspect", ask("registry.test/shop")).await.expect(200);
    assert_eq!(
        *server.platform.inspected.lock().unwrap(),
        [("registry.test/shop:latest".to_owned(), Some(id))]
    );
    for other in ["nginx", "registry.test.evil.tld/a", "registry.test:5000/a", "evil.tld/registry.test/a"] {
        let answer = server.post("/images/inspect", ask(other)).await.expect(422);
        assert_eq!(answer["data"]["code"], "credential_host_mismatch");
        let words = text(&answer["message"]);
        assert!(words.contains("\"team\" is for registry.test"), "{words}");
        let mut body = new_app("shop", other);
        body["docker_registry_credential_id"] = made["id"].clone();
        assert_eq!(server.post("/applications", body).await.refused(422), "credential_host_mismatch");
    }
    assert_eq!(server.platform.inspected.lock().unwrap().len(), 1, "nobody else was asked");
}

#[tokio::test]
async fn every_change_is_in_the_audit_log_without_the_secret() {
    let server = Server::start().await;
    let made = server.credential("team").await;
    let path = path_of(&made);
    server.patch(&path, json!({"secret": "canary-other"})).await.expect(200);
    server.patch(&path, json!({"username": "canary-user"})).await.expect(400);
    server.call("POST", &format!("{path}/verify"), None).await.expect(200);
    let refused = new_credential("team", "credential_rejected");
    server.post(&format!("{LIST}?verify=true"), refused).await.expect(422);
    server.call("DELETE", &path, None).await.expect(200);
    let database = rusqlite::Connection::open(server.data.path().join("darsena.db")).expect("the database");
    let mut rows = database
        .prepare("SELECT action, target FROM audit_log WHERE action LIKE '%DockerRegistry%' ORDER BY rowid")
        .expect("the audit log");
    let rows: Vec<(String, String)> =
        rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows").map(Result::unwrap).collect();
    let id = text(&made["id"]);
    let row = |action: &str, target: &str| (action.to_owned(), target.to_owned());
    assert_eq!(
        rows,
        [
            row("createDockerRegistry", &id),
            row("updateDockerRegistry", &id),
            row("updateDockerRegistry refused with 400", &id),
            row("verifyDockerRegistry", &id),
            row("createDockerRegistry refused with 422", ""),
            row("deleteDockerRegistry", &id),
        ]
    );
}
