//! The forms that clients which we did not write depend on.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use wire::*;

/// Reads `sent` as a `T` and writes it again: nothing may be lost, added or changed.
fn unchanged<T: Serialize + DeserializeOwned>(sent: Value) {
    let read: T = serde_json::from_value(sent.clone()).expect("the form can be read");
    assert_eq!(serde_json::to_value(&read).expect("it can be written"), sent);
}

#[test]
fn an_update_tells_left_out_from_null_from_a_value() {
    let read = |body: Value| {
        serde_json::from_value::<UpdateApplication>(body).unwrap().docker_registry_credential_id
    };
    assert_eq!(read(json!({})), None);
    assert_eq!(read(json!({"docker_registry_credential_id": null})), Some(None));
    assert_eq!(read(json!({"docker_registry_credential_id": "c1"})), Some(Some("c1".into())));

    for body in [
        json!({}),
        json!({"docker_registry_credential_id": null}),
        json!({"docker_registry_credential_id": "c1"}),
    ] {
        unchanged::<UpdateApplication>(body);
    }
    unchanged::<UpdateProcess>(json!({"readiness_probe": null}));
    unchanged::<UpdateProcess>(json!({"port": 3000, "readiness_probe": {"httpGet": {"path": "/"}}}));
}

#[test]
fn a_probe_echoes_what_was_sent_and_nothing_else() {
    unchanged::<Probe>(json!({"tcpSocket": {"port": 80}}));
    unchanged::<Probe>(json!({"exec": {"command": ["true"]}, "periodSeconds": 5}));
    unchanged::<Probe>(json!({
        "httpGet": {"path": "/up", "port": 80, "scheme": "HTTP", "httpHeaders": [{"name": "A", "value": "b"}]},
        "initialDelaySeconds": 0, "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3
    }));
}

#[test]
fn a_scaling_strategy_has_camel_case_inside() {
    unchanged::<ScalingStrategy>(json!({"type": "manual", "config": {"instanceCount": 1}}));
    unchanged::<ScalingStrategy>(json!({"type": "horizontal", "config": {
        "minInstanceCount": 1, "maxInstanceCount": 3, "targetCpuPercent": 80, "scaleUpIntervalSeconds": 10
    }}));
    let odd = serde_json::from_value::<ScalingStrategy>(json!({"type": "vertical", "config": {}}));
    assert!(odd.unwrap_err().to_string().contains("vertical"));
}

#[test]
fn unknown_fields_of_a_body_are_ignored() {
    let body = json!({"display_name": "shop", "cluster_id": "c", "source": "dockerImage", "colour": "blue"});
    let read: CreateApplication = serde_json::from_value(body).unwrap();
    assert_eq!(read.display_name, "shop");
    assert_eq!(
        serde_json::from_value::<TriggerDeployment>(json!({"nope": 1})).unwrap(),
        TriggerDeployment::default()
    );
}

#[test]
fn nullable_fields_of_an_answer_are_written_as_null() {
    let deployment = json!({
        "id": "d", "app_id": "a", "status": "inProgress", "type": "manual", "trigger": "MANUAL_DEPLOY",
        "steps": ["rollout"], "docker_image_url": "nginx", "docker_image_digest": null,
        "docker_registry_credential_id": null,
        "failure": {"during": "start", "code": "exited_early", "message": "it ended", "hint": null,
                    "exit_code": 3, "log_tail": ["bye"]},
        "git_type": null, "repo_url": null, "branch": null, "commit_sha": null, "commit_message": null,
        "author_login": null, "author_img": null, "started_at": null, "finished_at": null,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        "progress": {"step": "pulling", "layers": [
            {"digest": "sha256:aa", "done": 1, "total": 2, "state": "pulling"},
            {"digest": "sha256:bb", "done": 2, "total": 2, "state": "shared"}
        ]}
    });
    unchanged::<Deployment>(deployment.clone());

    let mut hosted = deployment;
    for extension in ["docker_image_digest", "failure", "progress"] {
        hosted.as_object_mut().unwrap().remove(extension);
    }
    let read: Deployment =
        serde_json::from_value(hosted).expect("an answer without our extensions is readable");
    assert_eq!(read.failure, None);
}

#[test]
fn an_error_without_details_has_no_data() {
    unchanged::<Error>(json!({"message": "no", "status": 404}));
    unchanged::<Error>(json!({"message": "no", "status": 422, "data": {
        "code": "platform_missing", "message": "build for linux/amd64", "docker_image": "docker.io/library/x:1",
        "registry_host": "docker.io", "available_platforms": ["linux/arm64"]
    }}));
}

#[test]
fn words_are_those_of_the_file() {
    let word = |value: Value, expected: &str| assert_eq!(value, json!(expected));
    word(json!(ApplicationStatus::AppDeletionFailed), "appDeletionFailed");
    word(json!(ApplicationType::PreviewApp), "previewApp");
    word(json!(ApplicationSource::DockerImage), "dockerImage");
    word(json!(ImagePolicy::ResolveOnDeploy), "resolve_on_deploy");
    word(json!(DeploymentStep::SyncConnections), "syncConnections");
    word(json!(ProjectServiceType::ObjectStorage), "object-storage");
    word(json!(ApiKeySource::Cli), "CLI");
    word(json!(ResourceCategory::CpuOptimized), "cpuOptimized");
    word(json!(JobStartPolicy::BeforeDeployment), "beforeDeployment");
    word(json!(GitType::Github), "github");
    word(json!(LayerState::Shared), "shared");
}

#[test]
fn a_project_detail_is_flat() {
    unchanged::<ProjectDetail>(json!({
        "id": "p", "name": "shop", "display_name": "Shop", "company_id": "c", "created_at": "t", "updated_at": "t",
        "services": [{"id": "a", "name": "web", "display_name": "Web", "type": "app"}]
    }));
}

#[test]
fn a_secret_is_plain_in_json_and_hidden_in_debug() {
    let setup = Setup {
        setup_token: "canary-token".into(),
        email: "a@b.example".into(),
        password: "canary-password".into(),
        company: "Acme".into(),
    };
    assert!(!format!("{setup:?}").contains("canary"));
    assert_eq!(serde_json::to_value(&setup).unwrap()["password"], "canary-password");
    let variable =
        CreateEnvVar { key: "A".into(), value: "canary".into(), is_runtime: None, is_buildtime: None };
    assert!(!format!("{variable:?}").contains("canary"));
}

#[test]
fn a_credential_has_its_extensions_or_none_of_them() {
    let whole = json!({
        "id": "i", "company_id": "c", "name": "n", "registry": "digitalOcean", "username": "u", "host": null,
        "status": "unverified", "last_verified_at": null, "last_used_at": null, "used_by": [],
        "created_at": "t", "updated_at": "t",
    });
    let credential: DockerRegistry = serde_json::from_value(whole.clone()).expect("a credential");
    assert_eq!(credential.details, Some(DockerRegistryDetails::default()));
    assert_eq!(serde_json::to_value(&credential).expect("JSON"), whole);

    let name_only = DockerRegistry { details: None, ..credential };
    let mut bare = whole;
    for extension in ["host", "status", "last_verified_at", "last_used_at", "used_by"] {
        bare.as_object_mut().expect("an object").remove(extension);
    }
    assert_eq!(serde_json::to_value(&name_only).expect("JSON"), bare);
    assert_eq!(serde_json::from_value::<DockerRegistry>(bare).expect("a credential"), name_only);
}

#[test]
fn git_forms_are_written_as_they_are_read() {
    unchanged::<UpdateApplication>(
        json!({"dockerfile_text": null, "git_credential_id": null, "build_type": "made"}),
    );
    unchanged::<CreateGitCredential>(json!({"name": "g", "kind": "deploy_key", "host": "git.example.com"}));
    unchanged::<PushWebhook>(json!({"url": "https://d/hook", "events": ["push"], "last_called_at": null}));
    unchanged::<BuildStep>(
        json!({"number": 1, "of": 2, "stage": "build", "text": "RUN make", "state": "cached",
                                  "started_at": "t", "finished_at": null}),
    );
}
