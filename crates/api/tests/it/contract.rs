//! `api/openapi-v3.yaml` as a judge: every answer is held against the schema that the file has for it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

static FILE: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../../../../api/openapi-v3.yaml");
    serde_yaml_ng::from_str(text).expect("the API file is YAML")
});

/// An operation of the file.
pub struct Operation {
    pub id: &'static str,
    pub method: String,
    pub path: &'static str,
    pub stage: i64,
    responses: &'static Value,
    pointer: String,
}

/// Every operation of the file.
pub static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    let paths = FILE["paths"].as_object().expect("paths");
    let mut all = Vec::new();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().expect("methods") {
            let Some(id) = operation["operationId"].as_str() else { continue };
            all.push(Operation {
                id,
                method: method.to_uppercase(),
                path,
                stage: operation["x-darsena-stage"].as_i64().expect("a stage"),
                responses: &operation["responses"],
                pointer: format!("#/paths/{}/{method}/responses", escaped(path)),
            });
        }
    }
    all
});

/// What is built of stage 2: everything about repositories.
const OF_STAGE_2: [&str; 18] = [
    "listGitProviders",
    "inspectRepository",
    "listGitCredentials",
    "createGitCredential",
    "getGitCredential",
    "updateGitCredential",
    "deleteGitCredential",
    "promoteApplication",
    "getDeploymentHook",
    "enableDeploymentHook",
    "regenerateDeploymentHook",
    "disableDeploymentHook",
    "callDeploymentHook",
    "getPushWebhook",
    "enablePushWebhook",
    "regeneratePushWebhook",
    "disablePushWebhook",
    "receivePush",
];

/// The operations that this server has: stage 1 and a part of stage 2.
pub fn built() -> BTreeSet<&'static str> {
    let is_built = |operation: &&Operation| operation.stage == 1 || OF_STAGE_2.contains(&operation.id);
    OPERATIONS.iter().filter(is_built).map(|operation| operation.id).collect()
}

/// The operation that a path below `/v3` belongs to; fixed paths win over those with an id.
pub fn find(method: &str, path: &str) -> Option<&'static Operation> {
    let words: Vec<_> = path.split('?').next()?.split('/').collect();
    let fits = |operation: &&&Operation| {
        let template: Vec<_> = operation.path.split('/').collect();
        let same = |(own, word): (&&str, &&str)| own.starts_with('{') || own == word;
        operation.method == method && template.len() == words.len() && template.iter().zip(&words).all(same)
    };
    let all: Vec<&'static Operation> = OPERATIONS.iter().collect();
    all.iter().filter(fits).min_by_key(|operation| operation.path.matches('{').count()).copied()
}

/// Panics unless the file knows this status for the operation and the body fits its schema.
pub fn check(operation: &Operation, status: u16, body: &Value) {
    let key = status.to_string();
    let response = &operation.responses[&key];
    assert!(!response.is_null(), "{}: the file has no status {status}; the body was {body}", operation.id);
    if status == 204 {
        assert!(body.is_null(), "{}: 204 has no body, this one has {body}", operation.id);
        return;
    }
    let pointer = match response["$ref"].as_str() {
        Some(reference) => reference.to_owned(),
        None => format!("{}/{key}", operation.pointer),
    };
    let validator = validator(&format!("{pointer}/content/application~1json/schema"));
    let problems: Vec<_> =
        validator.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(problems.is_empty(), "{} {status}: {problems:#?}\nin {body:#}", operation.id);
}

/// Panics unless the body is the error envelope.
pub fn check_error(status: u16, body: &Value) {
    let validator = validator("#/components/schemas/Error");
    assert!(validator.is_valid(body), "not the error envelope: {body}");
    assert_eq!(body["status"], json!(status), "{body}");
    assert!(body["data"]["code"].is_string(), "an error without a code: {body}");
}

/// Compiling a schema takes most of the time of these tests, so each is compiled once.
fn validator(reference: &str) -> Arc<Validator> {
    static COMPILED: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let entry = compiled.entry(reference.to_owned());
    Arc::clone(entry.or_insert_with(|| Arc::new(compile(reference))))
}

fn compile(reference: &str) -> Validator {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": reference,
        "components": FILE["components"],
        "paths": FILE["paths"],
    });
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        .build(&schema)
        .unwrap_or_else(|error| panic!("{reference}: {error}"))
}

/// A path as one word of a JSON pointer in a URI.
fn escaped(path: &str) -> String {
    path.replace('~', "~0").replace('/', "~1").replace('{', "%7B").replace('}', "%7D")
}

#[test]
fn the_judge_judges() {
    let list = find("GET", "/applications?limit=1").expect("an operation");
    assert_eq!(list.id, "listApplications");
    assert_eq!(find("GET", "/api-keys/me").expect("an operation").id, "getCurrentApiKey");
    check(list, 200, &json!({"data": [], "total": 0, "offset": 0, "limit": 25}));
    let refuses = |body: Value| std::panic::catch_unwind(|| check(list, 200, &body)).is_err();
    assert!(refuses(json!([])));
    assert!(refuses(json!({"data": [{}], "total": 0, "offset": 0, "limit": 25})));
    assert!(refuses(json!({"data": [], "total": 0, "offset": 0, "limit": 101})));
    let deployment = json!({"id": "no uuid", "token": "t", "name": "n"});
    let create = find("POST", "/api-keys").expect("an operation");
    assert!(std::panic::catch_unwind(|| check(create, 201, &deployment)).is_err(), "formats are checked");
}
