//! Applications that are built from a repository, and their deployments.

use model::git::{BuildSettings, Commit, GitOrder, Recipe, Revision};
use model::{CompanyId, GitSource};
use serde_json::{Value, json};

use crate::server::{CLUSTER, Server, new_app, new_repository, text};

struct Shop {
    server: Server,
    company: CompanyId,
    path: String,
    made: Value,
}

impl Shop {
    async fn new() -> Self {
        let server = Server::start().await;
        let made = server.repository("shop").await;
        let path = format!("/applications/{}", text(&made["id"]));
        Self { company: text(&made["company_id"]).parse().unwrap(), path, made, server }
    }

    async fn patch(&self, body: Value) -> Value {
        self.server.patch(&self.path, body).await.expect(200)
    }

    /// What the deployment side will read.
    async fn git(&self) -> GitSource {
        let id = text(&self.made["id"]).parse().unwrap();
        let app = self.server.store.company(self.company).app(id).await.unwrap();
        app.source.git().expect("a repository").clone()
    }

    async fn build(&self) -> BuildSettings {
        self.git().await.build
    }
}

#[tokio::test]
async fn a_repository_is_an_application() {
    let shop = Shop::new().await;
    let made = &shop.made;
    for (field, expected) in [
        ("source", json!("publicGit")),
        ("repo_url", json!("https://git.test/acme/shop")),
        ("default_branch", json!("main")),
        ("git_type", Value::Null),
        ("docker_image", Value::Null),
        ("git_credential_id", Value::Null),
        ("build_type", json!("dockerfile")),
        ("build_path", json!(".")),
        ("dockerfile_path", json!("Dockerfile")),
        ("docker_context", json!(".")),
        ("build_cache_enabled", json!(true)),
        ("auto_deploy", json!(false)),
        ("dockerfile_text", Value::Null),
        ("submodules_enabled", json!(false)),
        ("serving_commit", Value::Null),
    ] {
        assert_eq!(made[field], expected, "{field}");
    }
    let expected = GitSource {
        url: "https://git.test/acme/shop".to_owned(),
        branch: Some("main".to_owned()),
        credential: None,
        build: BuildSettings::default(),
    };
    assert_eq!(shop.git().await, expected);
    let listed = shop.server.get("/applications").await.expect(200);
    assert_eq!(listed["data"][0]["source"], "publicGit");
}

#[tokio::test]
async fn everything_can_be_said_when_it_is_made() {
    let server = Server::start().await;
    let credential = server.git_credential("bot").await["id"].clone();
    let base = server.credential("team").await["id"].clone();
    let mut body = new_repository("shop");
    for (field, value) in [
        ("source", json!("privateGit")),
        ("git_type", json!("gitlab")),
        ("git_credential_id", credential.clone()),
        ("docker_registry_credential_id", base.clone()),
        ("build_type", json!("dockerfile")),
        ("build_path", json!("./web/")),
        ("dockerfile_path", json!("docker/Dockerfile")),
        ("docker_context", json!("../..")),
        ("build_cache_enabled", json!(false)),
        ("submodules_enabled", json!(true)),
        ("lfs_enabled", json!(true)),
    ] {
        body[field] = value;
    }
    assert_eq!(
        server.post("/applications", body.clone()).await.expect(400)["data"]["field"],
        "docker_context"
    );
    body["docker_context"] = json!("../shared");
    let made = server.post("/applications", body.clone()).await.expect(201);
    for (field, value) in body.as_object().unwrap() {
        assert_eq!(&made[field], value, "{field} is an echo");
    }
    let company: CompanyId = text(&made["company_id"]).parse().unwrap();
    let app = server.store.company(company).app(text(&made["id"]).parse().unwrap()).await.unwrap();
    let git = app.source.git().unwrap();
    assert_eq!(git.credential.map(|id| json!(id.to_string())), Some(credential));
    let expected = BuildSettings {
        recipe: Recipe::Found,
        path: "web".to_owned(),
        dockerfile: "docker/Dockerfile".to_owned(),
        context: "../shared".to_owned(),
        is_cached: false,
        with_submodules: true,
        with_lfs: true,
        base_credential: Some(text(&base).parse().unwrap()),
    };
    assert_eq!(git.build, expected);

    // The folder cannot be moved so that what is kept leads out of the repository.
    let path = format!("/applications/{}", text(&made["id"]));
    let moved = server.patch(&path, json!({"build_path": "."})).await.expect(400);
    assert_eq!(moved["data"]["field"], "docker_context");
    server.patch(&path, json!({"build_path": ".", "docker_context": "."})).await.expect(200);
}

#[tokio::test]
async fn an_address_is_one_that_may_be_fetched() {
    let server = Server::start().await;
    let with = |url: &str| {
        let mut body = new_repository("shop");
        body["repo_url"] = json!(url);
        body
    };
    for (url, words) in [
        ("ext::id", "no way to a repository"),
        ("file:///etc", "no way to a repository"),
        ("--upload-pack=id", "no way to a repository"),
        ("https://bot:canary-secret@git.test/acme/shop", "store it as a Git credential"),
        ("http://git.test/acme/shop", "darsena serve --insecure-git git.test"),
        ("", "cannot be empty"),
    ] {
        let refused = server.post("/applications", with(url)).await.expect(400);
        assert_eq!(refused["data"]["code"], "git_url_invalid", "{url}");
        assert!(text(&refused["data"]["message"]).contains(words), "{refused}");
        assert!(!refused.to_string().contains("canary"), "{refused}");
    }
    let missing = json!({"display_name": "shop", "cluster_id": CLUSTER, "source": "publicGit"});
    assert_eq!(server.post("/applications", missing).await.expect(400)["data"]["field"], "repo_url");
    server.post("/applications", with("http://127.0.0.1:3000/acme/shop")).await.expect(201);

    // A login goes to its own server only.
    let id = server.git_credential("bot").await["id"].clone();
    for url in ["https://git.example.com/acme/x", "git@git.test:acme/x", "https://git.test:8443/acme/x"] {
        let mut body = with(url);
        body["display_name"] = json!("other");
        body["git_credential_id"] = id.clone();
        let refused = server.post("/applications", body).await.expect(422);
        assert_eq!(refused["data"]["code"], "git_credential_mismatch", "{url}");
    }
}

#[tokio::test]
async fn the_word_for_the_build_is_an_echo_and_a_dockerfile_is_made() {
    let shop = Shop::new().await;
    for (word, recipe) in [
        ("nixpacks", Recipe::Made),
        ("pack", Recipe::Made),
        ("made", Recipe::Made),
        ("dockerfile", Recipe::Found),
    ] {
        assert_eq!(shop.patch(json!({"build_type": word})).await["build_type"], word);
        assert_eq!(shop.build().await.recipe, recipe, "{word}");
    }
    let given = shop.patch(json!({"dockerfile_text": "FROM scratch\n", "build_type": "nixpacks"})).await;
    assert_eq!(
        (&given["dockerfile_text"], &given["build_type"]),
        (&json!("FROM scratch\n"), &json!("nixpacks"))
    );
    assert_eq!(given["dockerfile_path"], Value::Null, "only with dockerfile");
    assert_eq!(shop.build().await.recipe, Recipe::Given("FROM scratch\n".to_owned()));
    shop.patch(json!({"display_name": "Shop"})).await;
    assert_eq!(
        shop.build().await.recipe,
        Recipe::Given("FROM scratch\n".to_owned()),
        "what is left out stays"
    );
    assert_eq!(shop.patch(json!({"dockerfile_text": null})).await["dockerfile_text"], Value::Null);
    assert_eq!(shop.build().await.recipe, Recipe::Made);
}

#[tokio::test]
async fn what_leads_out_of_the_repository_is_refused_whole() {
    let shop = Shop::new().await;
    let before = shop.server.get(&shop.path).await.expect(200);
    for (field, value) in [
        ("build_path", json!("../x")),
        ("build_path", json!("/etc")),
        ("dockerfile_path", json!("-f")),
        ("dockerfile_path", json!("a/../../b")),
        ("docker_context", json!("a\\b")),
        ("dockerfile_text", json!("")),
        ("dockerfile_text", json!("FROM a\u{0}")),
        ("default_branch", json!("-x")),
        ("default_branch", json!("a..b")),
        ("repo_url", json!("ext::id")),
        ("docker_image", json!("nginx")),
        ("git_credential_id", json!("3f2b8a1e-0000-4000-8000-000000000000")),
        ("source", json!("app")),
    ] {
        shop.server.patch(&shop.path, json!({field: value, "display_name": "new"})).await.refused(400);
        assert_eq!(shop.server.get(&shop.path).await.expect(200), before, "{field}");
    }
}

#[tokio::test]
async fn the_terraform_provider_sends_it_all_again_and_sees_no_change() {
    let shop = Shop::new().await;
    let body = json!({
        "display_name": "shop", "source": "privateGit", "git_type": "github",
        "repo_url": "https://git.test/acme/shop", "default_branch": "main", "auto_deploy": true,
        "build_type": "dockerfile", "build_path": ".", "build_cache_enabled": false,
        "dockerfile_path": "Dockerfile", "docker_context": ".", "allow_deploy_paths": ["src/**"],
        "docker_registry_credential_id": null,
    });
    let first = shop.patch(body.clone()).await;
    for (field, value) in body.as_object().unwrap() {
        assert_eq!(&first[field], value, "{field}");
    }
    let mut again = shop.patch(body).await;
    again["updated_at"] = first["updated_at"].clone();
    assert_eq!(again, first);
}

#[tokio::test]
async fn an_application_can_change_where_it_comes_from() {
    let server = Server::start().await;
    let base = server.credential("team").await["id"].clone();
    let mut body = new_app("shop", "registry.test/shop:1");
    body["docker_registry_credential_id"] = base.clone();
    let made = server.post("/applications", body).await.expect(201);
    let path = format!("/applications/{}", text(&made["id"]));
    // What is said of a repository without changing the source is kept for nobody.
    let same = server.patch(&path, json!({"repo_url": "https://git.test/acme/shop"})).await.expect(200);
    assert_eq!((&same["source"], &same["repo_url"]), (&json!("dockerImage"), &Value::Null));
    assert_eq!(
        server.patch(&path, json!({"source": "publicGit"})).await.expect(400)["data"]["field"],
        "repo_url"
    );

    let change = json!({"source": "publicGit", "repo_url": "git@git.test:acme/shop.git"});
    let git = server.patch(&path, change).await.expect(200);
    assert_eq!((&git["source"], &git["docker_image"]), (&json!("publicGit"), &Value::Null));
    assert_eq!(
        git["docker_registry_credential_id"],
        Value::Null,
        "the login of an image is none for base images"
    );
    assert_eq!(
        server.patch(&path, json!({"source": "dockerImage"})).await.expect(400)["data"]["field"],
        "docker_image"
    );
    let login = json!({"docker_registry_credential_id": base});
    assert_eq!(server.patch(&path, login).await.expect(200)["docker_registry_credential_id"], base);

    let back = json!({"source": "dockerImage", "docker_image": "registry.test/shop:2"});
    let back = server.patch(&path, back).await.expect(200);
    assert_eq!((&back["source"], &back["repo_url"]), (&json!("dockerImage"), &Value::Null));
    assert_eq!((&back["docker_image"], &back["git_type"]), (&json!("registry.test/shop:2"), &Value::Null));
}

#[tokio::test]
async fn a_deployment_says_what_it_builds() {
    let shop = Shop::new().await;
    let id = "1".repeat(40);
    let named = |name: &str| Some(Revision::Named(name.to_owned()));
    let commit =
        |branch: Option<&str>| Some(Revision::Commit { id: id.clone(), branch: branch.map(str::to_owned) });
    for (body, revision, shown) in [
        (json!({}), None, (Value::Null, Value::Null)),
        (json!({"branch": "next"}), named("next"), (json!("next"), Value::Null)),
        (json!({"tag": "v1"}), named("v1"), (json!("v1"), Value::Null)),
        (json!({"commit_sha": id}), commit(None), (Value::Null, json!(id))),
        (json!({"commit_sha": id, "branch": "next"}), commit(Some("next")), (json!("next"), json!(id))),
        (json!({"is_restart": true}), None, (Value::Null, Value::Null)),
    ] {
        let record = shop.server.post(&format!("{}/deployments", shop.path), body.clone()).await.expect(200);
        let asked = shop.server.platform.requests.lock().unwrap().last().cloned().unwrap();
        assert_eq!((asked.image, asked.revision), (None, revision), "{body}");
        assert_eq!((record["branch"].clone(), record["commit_sha"].clone()), shown, "{body}");
        assert_eq!(record["repo_url"], "https://git.test/acme/shop");
        assert_eq!(record["docker_image_url"], Value::Null);
    }
    for body in [
        json!({"branch": "-x"}),
        json!({"commit_sha": "1234567"}),
        json!({"branch": "a", "tag": "b"}),
        json!({"docker_image": "nginx"}),
        json!({"docker_image_tag": "2"}),
        json!({"is_restart": true, "branch": "next"}),
    ] {
        shop.server.post(&format!("{}/deployments", shop.path), body.clone()).await.refused(400);
    }
    let image = text(&shop.server.app("image").await["id"]);
    let commit = json!({"commit_sha": id});
    shop.server.post(&format!("/applications/{image}/deployments"), commit).await.refused(400);
}

#[tokio::test]
async fn a_deployment_shows_its_commit_its_steps_and_how_far_it_is() {
    let shop = Shop::new().await;
    let path = format!("{}/deployments", shop.path);
    let record = shop.server.post(&path, json!({})).await.expect(200);
    assert_eq!(record["steps"], json!(["checkout", "build", "rollout"]));
    assert_eq!((&record["type"], &record["trigger"]), (&json!("manual"), &json!("MANUAL_DEPLOY")));
    let (app, id) = (text(&record["app_id"]).parse().unwrap(), text(&record["id"]).parse().unwrap());
    let commit = Commit {
        id: "2".repeat(40),
        branch: Some("main".to_owned()),
        message: "More bread".to_owned(),
        author: "Ada".to_owned(),
    };
    let order = GitOrder {
        url: "https://git.test/acme/shop".to_owned(),
        revision: Revision::Default,
        commit: Some(commit),
        before: None,
    };
    let rows = shop.server.store.company(shop.company);
    rows.checked_out(id, &order, "localhost/shop:222222222222").await.unwrap();
    shop.server.platform.put(shop.company, app, id, model::deployment::State::Building).await;
    let building = shop.server.get(&format!("{path}/{id}")).await.expect(200);
    for (field, expected) in [
        ("branch", "main"),
        ("commit_message", "More bread"),
        ("author_login", "Ada"),
        ("docker_image_url", "localhost/shop:222222222222"),
    ] {
        assert_eq!(building[field], expected, "{field}");
    }
    assert_eq!(building["progress"]["step"], "building");
    assert_eq!(building["progress"]["build_steps"][0]["text"], "RUN make");

    shop.server.platform.finish(shop.company, app, id).await;
    let served = shop.server.get(&shop.path).await.expect(200);
    assert_eq!(served["serving_commit"]["sha"], json!("2".repeat(40)));
    assert_eq!(served["serving_commit"]["author"], "Ada");
}

#[tokio::test]
async fn an_image_is_promoted_by_who_may_deploy_both() {
    let shop = Shop::new().await;
    let live = shop.server.app("live").await["id"].clone();
    let path = format!("{}/promote", shop.path);
    let body = json!({"target_app_id": live});
    assert_eq!(shop.server.post(&path, body.clone()).await.refused(400), "no_successful_deployment");
    let record = shop.server.post(&format!("{}/deployments", shop.path), json!({})).await.expect(200);
    let ids = (text(&record["app_id"]).parse().unwrap(), text(&record["id"]).parse().unwrap());
    shop.server.platform.finish(shop.company, ids.0, ids.1).await;

    let promoted = shop.server.post(&path, body.clone()).await.expect(200);
    assert_eq!((&promoted["app_id"], &promoted["trigger"]), (&live, &json!("PROMOTE")));
    assert_eq!(promoted["steps"], json!(["rollout"]));
    let mut records = Vec::new();
    for _ in 0..2 {
        let request = http::Request::post(format!("/v3{path}"))
            .header("authorization", format!("Bearer {}", shop.server.owner))
            .header("idempotency-key", "once")
            .body(http_body_util::Full::new(body.to_string().into()))
            .unwrap();
        records.push(shop.server.raw(request).await.expect(200)["id"].clone());
    }
    assert_eq!(records[0], records[1], "under a key it happens once");
    assert_ne!(records[0], promoted["id"]);
    for bad in [json!({}), json!({"target_app_id": "x"}), json!({"target_app_id": shop.made["id"]})] {
        shop.server.post(&path, bad).await.refused(400);
    }
    let only = |id: &Value| json!([{"permission": "APP:DEPLOY", "id_resource": id}]);
    let one = shop.server.key(&[], only(&shop.made["id"])).await.1;
    let refused = shop.server.send("POST", &path, Some(&one), Some(body.clone())).await.expect(400);
    assert_eq!(refused["data"]["field"], "target_app_id", "it looks like none");
    let other = shop.server.key(&[], only(&live)).await.1;
    assert_eq!(shop.server.send("POST", &path, Some(&other), Some(body)).await.refused(404), "not_found");
}
