//! A whole API over a real store in a temporary folder. Only the deployment side is a double.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::{ApiConfig, ApiState, Rate};
use axum::Router;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use model::access::Role;
use serde_json::{Value, json};
use store::Store;
use tempfile::TempDir;

use crate::contract;
use crate::double::Double;

/// What every test has: an installation that is set up, and its owner's key.
pub struct Server {
    pub api: TowerToHyperService<Router>,
    pub state: ApiState,
    pub store: Store,
    pub platform: Arc<Double>,
    pub data: TempDir,
    pub owner: String,
    /// Operations that answered 2xx and fitted their schema.
    covered: Mutex<BTreeSet<&'static str>>,
}

/// An answer, already held against the API file.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Reply {
    /// The body of an answer with this status; panics on another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{:#}", self.body);
        self.body
    }

    /// The error code of an answer with this status.
    #[track_caller]
    pub fn refused(self, status: u16) -> String {
        self.expect(status)["data"]["code"].as_str().expect("a code").to_owned()
    }
}

impl Server {
    /// A fresh installation, set up.
    pub async fn start() -> Self {
        Self::unset().await.set_up().await
    }

    /// A fresh installation, set up, that gives a registry all the time it needs.
    pub async fn patient() -> Self {
        let registry_wait = Duration::from_secs(10);
        Self::with(ApiConfig { registry_wait, ..quick() }).set_up().await
    }

    pub async fn set_up(mut self) -> Self {
        let server = &mut self;
        let token = server.setup_token().await;
        let body = json!({
            "setup_token": token,
            "email": "Owner@Example.com",
            "password": "correct horse battery",
            "company": "Acme",
        });
        let done = server.send("POST", "/setup", None, Some(body)).await.expect(201);
        server.owner = done["api_key"]["token"].as_str().expect("a token").to_owned();
        self
    }

    /// A fresh installation that nobody has set up yet.
    pub async fn unset() -> Self {
        Self::with(quick())
    }

    /// A fresh installation, set up, whose data is on another disk.
    pub async fn on(disk: &Path) -> Self {
        Self::made(quick(), tempfile::tempdir_in(disk).expect("a folder")).set_up().await
    }

    pub fn with(config: ApiConfig) -> Self {
        Self::made(config, tempfile::tempdir().expect("a folder"))
    }

    fn made(config: ApiConfig, data: TempDir) -> Self {
        let store = Store::open(data.path()).expect("a store");
        let platform = Arc::new(Double::new(store.clone()));
        let state = ApiState::new(store.clone(), platform.clone(), config);
        let api = TowerToHyperService::new(api::router(state.clone()));
        Self { api, state, store, platform, data, owner: String::new(), covered: Mutex::default() }
    }

    pub async fn setup_token(&self) -> String {
        self.store.instance().setup_token().await.expect("the store").expect("an unused token")
    }

    /// A call by the owner.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.send(method, path, Some(&self.owner), body).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.call("POST", path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Reply {
        self.call("PATCH", path, Some(body)).await
    }

    /// A call with a key or without.
    pub async fn send(&self, method: &str, path: &str, key: Option<&str>, body: Option<Value>) -> Reply {
        let mut request = Request::builder().method(method).uri(format!("/v3{path}"));
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let reply = self.raw(request.body(Full::new(bytes)).expect("a request")).await;
        self.judge(method, path, &reply);
        reply
    }

    /// Any request at all; the answer is parsed but not held against an operation.
    pub async fn raw(&self, request: Request<Full<Bytes>>) -> Reply {
        let response = self.api.call(request).await.expect("the router answers");
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if !head.status.is_success() {
            contract::check_error(head.status.as_u16(), &body);
        }
        Reply { status: head.status.as_u16(), headers: head.headers, body }
    }

    pub fn judge(&self, method: &str, path: &str, reply: &Reply) {
        let Some(operation) = contract::find(method, path) else { return };
        contract::check(operation, reply.status, &reply.body);
        if reply.status < 300 {
            self.covered.lock().expect("the list").insert(operation.id);
        }
    }

    pub fn covered(&self) -> BTreeSet<&'static str> {
        self.covered.lock().expect("the list").clone()
    }

    /// A new key with these roles and capabilities.
    pub async fn key(&self, roles: &[Role], capabilities: Value) -> (String, String) {
        let role_ids: Vec<_> = roles.iter().map(|role| role.id().to_string()).collect();
        let body = json!({"name": "test", "role_ids": role_ids, "capabilities": capabilities});
        let made = self.post("/api-keys", body).await.expect(201);
        (text(&made["id"]), text(&made["token"]))
    }

    /// A new credential for `registry.test`.
    pub async fn credential(&self, name: &str) -> Value {
        self.post("/docker-registries", new_credential(name, "bot")).await.expect(201)
    }

    /// A new token for `git.test`.
    pub async fn git_credential(&self, name: &str) -> Value {
        self.post("/git-credentials", new_git_credential(name)).await.expect(201)
    }

    /// A new application that is built from the repository of this name.
    pub async fn repository(&self, name: &str) -> Value {
        self.post("/applications", new_repository(name)).await.expect(201)
    }

    /// A new application with the image of this name.
    pub async fn app(&self, name: &str) -> Value {
        self.post("/applications", new_app(name, &format!("registry.test/{name}:1"))).await.expect(201)
    }
}

pub const EVERYTHING: Rate = Rate { per_second: 1000.0, burst: 100_000.0 };

/// Gives up on a registry soon, yet not before the database of a busy machine has answered, and lets every request in.
pub fn quick() -> ApiConfig {
    ApiConfig {
        registry_wait: Duration::from_secs(3),
        rate: EVERYTHING,
        open_reads: EVERYTHING,
        open_writes: EVERYTHING,
        wrong_keys: EVERYTHING,
        hook_calls: EVERYTHING,
        hook_deployments: EVERYTHING,
    }
}

/// The id of the one cluster.
pub const CLUSTER: &str = "5a12e003-0000-4000-8000-000000000001";

/// The body that makes an application.
pub fn new_app(name: &str, image: &str) -> Value {
    json!({"display_name": name, "cluster_id": CLUSTER, "source": "dockerImage", "docker_image": image})
}

/// The body that makes an application of a repository at `git.test`.
pub fn new_repository(name: &str) -> Value {
    json!({
        "display_name": name, "cluster_id": CLUSTER, "source": "publicGit",
        "repo_url": format!("https://git.test/acme/{name}"), "default_branch": "main",
    })
}

/// The body that stores a token for `git.test`.
pub fn new_git_credential(name: &str) -> Value {
    json!({"name": name, "kind": "token", "host": "git.test", "username": "bot", "secret": "canary-secret"})
}

/// The body that stores a credential for `registry.test`.
pub fn new_credential(name: &str, username: &str) -> Value {
    json!({
        "name": name, "registry": "custom", "host": "registry.test", "username": username,
        "secret": "canary-secret",
    })
}

/// A text field.
#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
