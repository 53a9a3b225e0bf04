//! A1 and A2: every operation as every kind of caller, against the authorization table.

use std::collections::BTreeSet;

use api::{Needs, OPERATIONS, Operation};
use model::access::{ApiKey, Role};
use model::{ApiKeyId, CompanyId, Timestamp};
use serde_json::{Value, json};
use sha2::Digest;

use crate::contract;
use crate::server::{Server, text};

#[test]
fn the_table_has_the_operations_of_the_file_and_no_others() {
    let own: Vec<_> = OPERATIONS.iter().filter(|operation| !operation.is_extension).collect();
    let ids: BTreeSet<_> = own.iter().map(|operation| operation.id).collect();
    assert_eq!(ids, contract::built());
    assert_eq!(ids.len(), own.len(), "an operation is there twice");
    for operation in own {
        let found = contract::OPERATIONS.iter().find(|found| found.id == operation.id).expect("an operation");
        assert_eq!((operation.method.as_str(), operation.path), (found.method.as_str(), found.path));
    }
    let extensions: Vec<_> =
        OPERATIONS.iter().filter(|operation| operation.is_extension).map(|row| row.path).collect();
    assert_eq!(extensions, ["/setup", "/health"]);
}

#[tokio::test]
async fn every_operation_answers_every_caller_as_the_table_says() {
    let server = Server::start().await;
    let callers = callers(&server).await;
    let mut records = Records::make(&server).await;
    for operation in OPERATIONS {
        for caller in &callers {
            let before = records.snapshot(&server).await;
            let path = records.path(operation);
            let reply = server.send(operation.method.as_str(), &path, caller.key.as_deref(), None).await;
            let expected = caller.expected(operation);
            let case = format!("{} as {}: {}", operation.id, caller.name, reply.status);
            assert!(expected.allows(reply.status), "{case}, expected {expected:?}\n{:#}", reply.body);
            match expected {
                _ if !operation.is_write() => {}
                Expected::Through => records = Records::make(&server).await,
                Expected::Exactly(_) => {
                    assert_eq!(records.snapshot(&server).await, before, "{case}, and it had an effect");
                }
            }
        }
    }
}

struct Caller {
    name: &'static str,
    key: Option<String>,
    who: Who,
}

enum Who {
    Nobody,
    Member(Role),
    Foreigner,
}

#[derive(Debug)]
enum Expected {
    Exactly(u16),
    /// Past authorization: whatever the operation itself says.
    Through,
}

impl Expected {
    fn allows(&self, status: u16) -> bool {
        match self {
            Expected::Exactly(expected) => *expected == status,
            Expected::Through => !matches!(status, 401 | 403 | 404 | 405 | 500),
        }
    }
}

impl Caller {
    fn expected(&self, operation: &Operation) -> Expected {
        match (operation.needs, &self.who) {
            (Needs::Nothing, _) => Expected::Through,
            // A key is no secret of an application, whoever has it.
            (Needs::Secret, _) if operation.id == "receivePush" => Expected::Exactly(401),
            (Needs::Secret, _) => Expected::Exactly(404),
            (_, Who::Nobody) => Expected::Exactly(401),
            (Needs::AnyKey, _) => Expected::Through,
            (Needs::Permission(_), Who::Foreigner) if operation.path.contains("{id}") => {
                Expected::Exactly(404)
            }
            (Needs::Permission(needed), Who::Member(role)) if *role < needed.least_role() => {
                Expected::Exactly(403)
            }
            (Needs::Permission(_), _) => Expected::Through,
        }
    }
}

async fn callers(server: &Server) -> Vec<Caller> {
    let nobody = |name, key| Caller { name, key, who: Who::Nobody };
    let member = |name, key, role| Caller { name, key: Some(key), who: Who::Member(role) };
    let (off, disabled) = server.key(&[Role::Owner], json!([])).await;
    server.call("POST", &format!("/api-keys/{off}/toggle"), None).await.expect(200);
    let body = json!({"name": "x", "role_ids": [Role::Owner.id().to_string()], "expired_at": "2020-01-01T00:00:00Z"});
    let expired = text(&server.post("/api-keys", body).await.expect(201)["token"]);
    let wrong = format!("dars_{}", "ab".repeat(32));
    vec![
        nobody("anonymous", None),
        nobody("wrong token", Some(wrong)),
        nobody("disabled", Some(disabled)),
        nobody("expired", Some(expired)),
        member("viewer", server.key(&[Role::Viewer], json!([])).await.1, Role::Viewer),
        member("developer", server.key(&[Role::Developer], json!([])).await.1, Role::Developer),
        member("admin", server.key(&[Role::Admin], json!([])).await.1, Role::Admin),
        member("owner", server.owner.clone(), Role::Owner),
        Caller { name: "other company's owner", key: Some(foreign_owner(server).await), who: Who::Foreigner },
    ]
}

/// An owner of another company. Only one company is made by the setup, so the other's row is put in directly.
pub async fn foreign_owner(server: &Server) -> String {
    let company = CompanyId::new();
    let database = rusqlite::Connection::open(server.data.path().join("darsena.db")).expect("the database");
    let row = "INSERT INTO companies (id, name, created_at) VALUES (?1, 'Other', 0)";
    database.execute(row, [company.to_string()]).expect("a row");
    let token = format!("dars_{}", "cd".repeat(32));
    let now = Timestamp::now();
    let key = ApiKey {
        id: ApiKeyId::new(),
        company,
        name: "theirs".into(),
        is_enabled: true,
        source: "EXTERNAL".into(),
        masked_token: "dars_c...cdcd".into(),
        roles: vec![Role::Owner],
        capabilities: Vec::new(),
        last_used_at: None,
        expired_at: None,
        old_token_expired_at: None,
        created_at: now,
        updated_at: now,
    };
    let hash = sha2::Sha256::digest(token.as_bytes()).into();
    server.store.company(company).create_api_key(&key, hash).await.expect("a key");
    token
}

/// One record of each kind, of the first company.
struct Records {
    app: String,
    process: String,
    env_var: String,
    deployment: String,
    project: String,
    key: String,
    credential: String,
    git_credential: String,
}

impl Records {
    async fn make(server: &Server) -> Self {
        let app = text(&server.app(&format!("a{}", uuid::Uuid::new_v4().simple())).await["id"]);
        let path = format!("/applications/{app}");
        let process = server.get(&format!("{path}/processes")).await.expect(200);
        let var =
            server.post(&format!("{path}/env-vars"), json!({"key": "A", "value": "1"})).await.expect(201);
        let deployment = server.call("POST", &format!("{path}/deployments"), None).await.expect(200);
        let project = text(&server.post("/projects", json!({"display_name": "p"})).await.expect(201)["id"]);
        let service = json!({"service_id": app, "service_type": "app"});
        server.post(&format!("/projects/{project}/services"), service).await.expect(200);
        for hook in ["deployment-hook", "push-webhook"] {
            server.call("POST", &format!("{path}/{hook}"), None).await.expect(201);
        }
        Self {
            process: text(&process["data"][0]["id"]),
            env_var: text(&var["id"]),
            deployment: text(&deployment["id"]),
            key: server.key(&[Role::Viewer], json!([])).await.0,
            credential: text(&server.credential("team").await["id"]),
            git_credential: text(&server.git_credential("bot").await["id"]),
            project,
            app,
        }
    }

    fn path(&self, operation: &Operation) -> String {
        let id = match operation.path {
            path if path.starts_with("/projects") => &self.project,
            path if path.starts_with("/api-keys") => &self.key,
            path if path.starts_with("/docker-registries") => &self.credential,
            path if path.starts_with("/git-credentials") => &self.git_credential,
            _ => &self.app,
        };
        let query = if operation.id == "removeProjectService" { "?service_type=app" } else { "" };
        let path = operation
            .path
            .replace("{id}", id)
            .replace("{process_id}", &self.process)
            .replace("{env_var_id}", &self.env_var)
            .replace("{deployment_id}", &self.deployment)
            .replace("{service_id}", &self.app)
            .replace("{secret}", &"ab".repeat(32));
        format!("{path}{query}")
    }

    async fn snapshot(&self, server: &Server) -> Vec<Value> {
        let app = format!("/applications/{}", self.app);
        let mut all = Vec::new();
        for path in [
            app.clone(),
            format!("{app}/processes"),
            format!("{app}/env-vars"),
            format!("{app}/deployments"),
            format!("{app}/deployment-hook"),
            format!("{app}/push-webhook"),
            format!("/projects/{}", self.project),
            format!("/api-keys/{}", self.key),
            format!("/docker-registries/{}", self.credential),
            format!("/git-credentials/{}", self.git_credential),
        ] {
            all.push(server.get(&path).await.body);
        }
        all
    }
}
