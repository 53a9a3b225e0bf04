//! `darsena apps`.

use client::Client;
use wire::*;

use super::condition;
use super::settings::{self, Settings};
use crate::ago::ago;
use crate::failure::Failure;
use crate::find;
use crate::output::Output;
use crate::prompt;

/// What to do with applications.
#[derive(clap::Subcommand)]
pub enum Command {
    /// All applications, newest first.
    List,
    /// One application.
    Show(Name),
    /// Change how an application runs.
    Update {
        #[command(flatten)]
        name: Name,
        #[command(flatten)]
        settings: Settings,
    },
    /// Remove an application with its deployments and variables.
    Delete {
        #[command(flatten)]
        name: Name,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Stop an application and keep everything else.
    Suspend(Name),
    /// Start a suspended application again.
    Activate(Name),
}

/// Which application.
#[derive(clap::Args)]
pub struct Name {
    /// Name of the application.
    name: String,
}

/// Runs one of them.
pub async fn run(client: &Client, command: &Command, output: &Output) -> Result<(), Failure> {
    match command {
        Command::List => list(client, output).await,
        Command::Show(Name { name }) => show(client, name, output).await,
        Command::Update { name: Name { name }, settings } => update(client, name, settings, output).await,
        Command::Delete { name: Name { name }, yes } => delete(client, name, *yes, output).await,
        Command::Suspend(Name { name }) => {
            let application = find::existing(client, name).await?;
            confirmed(&client.suspend_application(&application.id).await?, output)
        }
        Command::Activate(Name { name }) => {
            let application = find::existing(client, name).await?;
            confirmed(&client.activate_application(&application.id).await?, output)
        }
    }
}

async fn list(client: &Client, output: &Output) -> Result<(), Failure> {
    let applications = client.applications().await?;
    if output.json {
        return output.json(&applications);
    }
    if applications.is_empty() {
        output.note("there are no applications yet; `darsena deploy NAME --image REF` makes one");
        return Ok(());
    }
    let rows = applications.iter().map(|application| {
        vec![
            application.name.clone(),
            state(application.status, application.is_suspended).to_owned(),
            application.url.clone().unwrap_or_default(),
            ago(&application.updated_at),
        ]
    });
    output.table(&["NAME", "STATE", "URL", "CHANGED"], rows)
}

async fn show(client: &Client, name: &str, output: &Output) -> Result<(), Failure> {
    let found = find::existing(client, name).await?;
    let application = client.application(&found.id).await?;
    if output.json {
        return output.json(&application);
    }
    let process = find::web_process(client, &found.id).await?;
    let credential = find::credential_of(client, &application.docker_registry_credential_id).await?;
    let text = |field: &Option<String>| field.clone().unwrap_or_else(|| "-".to_owned());
    let containers = condition::rows(application.condition.as_ref());
    let mut pairs = vec![
        ("name", application.name.clone()),
        ("state", state(application.status, application.is_suspended).to_owned()),
    ];
    pairs.extend(containers.iter().map(|(name, words)| (name.as_str(), words.clone())));
    pairs.extend([
        ("url", text(&application.url)),
        ("image", text(&application.docker_image)),
        ("digest", text(&application.docker_image_digest)),
        ("credential", credential),
    ]);
    pairs.extend(process.as_ref().map(settings).into_iter().flatten());
    pairs.extend([
        ("deployment", text(&application.serving_deployment_id)),
        ("created", application.created_at.clone()),
        ("id", application.id.clone()),
    ]);
    output.record(&pairs)
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

async fn update(client: &Client, name: &str, settings: &Settings, output: &Output) -> Result<(), Failure> {
    if !settings.is_any() {
        return Err(Failure::usage("there is nothing to change").hint("see `darsena apps update --help`"));
    }
    let application = find::existing(client, name).await?;
    let change = settings.apply(client, &application.id).await?;
    if output.json {
        return output.json(&find::web_process(client, &application.id).await?);
    }
    if change.ingress_protocol.is_some() {
        output.line(&format!("{name} is asked in the new protocol from now on"))?;
    }
    match (UpdateProcess { ingress_protocol: None, ..change.clone() }) == UpdateProcess::default() {
        false => output.line(&format!("saved; it counts from the next deployment: darsena deploy {name}")),
        true if change.ingress_protocol.is_some() => Ok(()),
        true => output.line("nothing changes: it is that way already"),
    }
}

fn size(process: &Process) -> String {
    let name = process.resource_type_name.as_deref().unwrap_or("custom");
    match (process.cpu_limit, process.memory_limit) {
        (Some(cpu), Some(memory)) => format!("{name} ({cpu} millicores, {memory} MB)"),
        _ => name.to_owned(),
    }
}

async fn delete(client: &Client, name: &str, yes: bool, output: &Output) -> Result<(), Failure> {
    let application = find::existing(client, name).await?;
    if !yes {
        let question =
            format!("This removes {name}, its deployments and variables. Type its name to go on: ");
        match prompt::shown(&question)? {
            Some(typed) if typed.trim() == name => {}
            Some(_) => return Err(Failure::new("nothing was removed: that is not its name")),
            None => {
                return Err(Failure::usage(format!("{name} is removed only when that is confirmed"))
                    .hint(format!("run `darsena apps delete {name} --yes`")));
            }
        }
    }
    confirmed(&client.delete_application(&application.id).await?, output)
}

fn confirmed(message: &Message, output: &Output) -> Result<(), Failure> {
    if output.json { output.json(message) } else { output.line(&message.message) }
}

fn state(status: Option<ApplicationStatus>, is_suspended: bool) -> &'static str {
    match status {
        Some(ApplicationStatus::Deleting) => "being removed",
        Some(ApplicationStatus::AppDeletionFailed) => "removal failed",
        _ if is_suspended => "suspended",
        None => "never deployed",
        Some(ApplicationStatus::DeploymentInProgress) => "deploying",
        Some(ApplicationStatus::DeploymentSuccess) => "deployed",
        Some(ApplicationStatus::DeploymentFailed) => "last deployment failed",
        Some(ApplicationStatus::DeploymentCancelled) => "last deployment cancelled",
    }
}
