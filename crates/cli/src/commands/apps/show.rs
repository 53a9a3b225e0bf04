//! `darsena apps show`.

use client::Client;
use wire::*;

use crate::commands::{condition, settings};
use crate::commit;
use crate::failure::Failure;
use crate::find;
use crate::output::Output;

/// `apps show`.
pub async fn run(client: &Client, name: &str, output: &Output) -> Result<(), Failure> {
    let found = find::existing(client, name).await?;
    let application = client.application(&found.id).await?;
    if output.json {
        return output.json(&application);
    }
    let process = find::web_process(client, &found.id).await?;
    let containers = condition::rows(application.condition.as_ref());
    let mut pairs = vec![
        ("name", application.name.clone()),
        ("state", super::state(application.status, application.is_suspended).to_owned()),
    ];
    pairs.extend(containers.iter().map(|(name, words)| (name.as_str(), words.clone())));
    pairs.push(("url", text(&application.url)));
    pairs.extend(source(client, &application).await?);
    pairs.extend(process.as_ref().map(settings).into_iter().flatten());
    pairs.extend([
        ("deployment", text(&application.serving_deployment_id)),
        ("created", application.created_at.clone()),
        ("id", application.id.clone()),
    ]);
    output.record(&pairs)
}

/// Where it comes from.
async fn source(client: &Client, application: &Application) -> Result<Vec<(&'static str, String)>, Failure> {
    let credential = find::credential_of(client, &application.docker_registry_credential_id).await?;
    let digest = ("digest", text(&application.docker_image_digest));
    if application.source == ApplicationSource::DockerImage {
        return Ok(vec![("image", text(&application.docker_image)), digest, ("credential", credential)]);
    }
    let branch = application.default_branch.clone().unwrap_or_else(|| "the repository's default".to_owned());
    let git_credential = find::git_credential_of(client, &application.git_credential_id).await?;
    Ok(vec![
        ("repository", text(&application.repo_url)),
        ("branch", branch),
        ("git credential", git_credential),
        ("build", build(application)),
        ("base images", credential),
        ("on a push", pushes(application)),
        ("commit", application.serving_commit.as_ref().map_or("-".to_owned(), commit::words)),
        digest,
    ])
}

/// How it is built, in one line; what everybody has is not said.
fn build(application: &Application) -> String {
    let has = |field: &Option<String>| field.clone().filter(|value| !value.is_empty() && value != ".");
    let mut words = vec![match (application.build_type, &application.dockerfile_text) {
        (BuildType::Made, _) => "a Dockerfile is made".to_owned(),
        (_, Some(text)) => format!("with the Dockerfile given ({} lines)", text.lines().count()),
        _ => format!("with {}", application.dockerfile_path.as_deref().unwrap_or("Dockerfile")),
    }];
    words.extend(has(&application.build_path).map(|path| format!("in {path}")));
    words.extend(has(&application.docker_context).map(|context| format!("context {context}")));
    words.extend((!application.build_cache_enabled).then(|| "without a cache".to_owned()));
    words.extend(application.submodules_enabled.then(|| "submodules".to_owned()));
    words.extend(application.lfs_enabled.then(|| "LFS".to_owned()));
    words.join(", ")
}

/// What a push does.
fn pushes(application: &Application) -> String {
    if !application.auto_deploy {
        return "nothing".to_owned();
    }
    match (application.allow_deploy_paths.as_slice(), application.ignore_deploy_paths.as_slice()) {
        ([], []) => "deploys".to_owned(),
        ([], ignored) => format!("deploys, unless it changes {} only", ignored.join(", ")),
        (allowed, _) => format!("deploys when it changes {}", allowed.join(", ")),
    }
}

fn text(field: &Option<String>) -> String {
    field.clone().unwrap_or_else(|| "-".to_owned())
}

/// How the web process runs, from the next deployment on.
fn settings(process: &Process) -> [(&'static str, String); 6] {
    let probe = |probe: &Option<Probe>| probe.as_ref().map_or("-".to_owned(), settings::words);
    let protocol = match process.ingress_protocol {
        Some(IngressProtocol::Grpc) => "grpc",
        _ => "http",
    };
    [
        ("port", process.port.map_or("-".to_owned(), |port| port.to_string())),
        ("protocol", protocol.to_owned()),
        ("instances", settings::instances(process).to_string()),
        ("health", probe(&process.readiness_probe)),
        ("liveness", probe(&process.liveness_probe)),
        ("size", size(process)),
    ]
}

fn size(process: &Process) -> String {
    let name = process.resource_type_name.as_deref().unwrap_or("custom");
    match (process.cpu_limit, process.memory_limit) {
        (Some(cpu), Some(memory)) => format!("{name} ({cpu} millicores, {memory} MB)"),
        _ => name.to_owned(),
    }
}
