//! `darsena deployments`.

use client::Client;
use wire::*;

use super::outcome::{self, Deployed};
use crate::ago::ago;
use crate::commit;
use crate::failure::Failure;
use crate::find;
use crate::output::Output;

/// How much of a commit's message a list shows, in characters.
const SUBJECT: usize = 50;

/// What to do with deployments.
#[derive(clap::Subcommand)]
pub enum Command {
    /// The newest deployments of an application.
    List {
        /// Name of the application.
        name: String,
        /// How many at most.
        #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u64).range(1..=100))]
        limit: u64,
    },
    /// One deployment, with the cause when it failed.
    Show {
        /// Name of the application.
        name: String,
        /// Id of the deployment; left out: the newest.
        id: Option<String>,
    },
    /// Stop a deployment that waits or runs.
    Cancel {
        /// Name of the application.
        name: String,
        /// Id of the deployment.
        id: String,
    },
    /// Deploy the image of an earlier deployment again, and wait as `deploy` does.
    Rollback {
        /// Name of the application.
        name: String,
        /// Id of the deployment to go back to; left out: the last one that succeeded before.
        id: Option<String>,
        /// Do not wait: print the new deployment's id.
        #[arg(long)]
        no_wait: bool,
    },
}

/// Runs one of them.
pub async fn run(client: &Client, command: &Command, output: &Output) -> Result<(), Failure> {
    match command {
        Command::List { name, limit } => list(client, name, *limit, output).await,
        Command::Show { name, id } => show(client, name, id.as_deref(), output).await,
        Command::Cancel { name, id } => cancel(client, name, id, output).await,
        Command::Rollback { name, id, no_wait } => {
            let application = find::existing(client, name).await?;
            let body = RollbackDeployment { deployment_id: id.clone() };
            let deployment = client.rollback_deployment(&application.id, &body).await?;
            if *no_wait {
                return if output.json { output.json(&deployment) } else { output.line(&deployment.id) };
            }
            outcome::wait(client, Deployed { application: &application.id, name }, deployment, output).await
        }
    }
}

async fn list(client: &Client, name: &str, limit: u64, output: &Output) -> Result<(), Failure> {
    let application = find::existing(client, name).await?;
    let page = client.deployments(&application.id, limit).await?;
    if output.json {
        return output.json(&page.data);
    }
    if page.data.is_empty() {
        output.note(&format!("{name} was never deployed"));
        return Ok(());
    }
    let rows = page.data.iter().map(|deployment| {
        vec![
            deployment.id.clone(),
            status(deployment).to_owned(),
            what(deployment),
            deployment.trigger.clone().unwrap_or_default(),
            ago(&deployment.created_at),
        ]
    });
    let is_built = page.data.iter().any(|deployment| deployment.repo_url.is_some());
    let what = if is_built { "COMMIT" } else { "IMAGE" };
    output.table(&["ID", "STATUS", what, "TRIGGER", "STARTED"], rows)?;
    let older = page.total.saturating_sub(page.data.len() as u64);
    if older > 0 {
        output.note(&format!("{older} older ones are not shown"));
    }
    Ok(())
}

async fn show(client: &Client, name: &str, id: Option<&str>, output: &Output) -> Result<(), Failure> {
    let application = find::existing(client, name).await?;
    let deployment = match id {
        Some(id) => client.deployment(&application.id, id).await?,
        None => newest(client, &application).await?,
    };
    if output.json {
        return output.json(&deployment);
    }
    let credential = find::credential_of(client, &deployment.docker_registry_credential_id).await?;
    let mut pairs = vec![
        ("id", deployment.id.clone()),
        ("status", status(&deployment).to_owned()),
        ("step", deployment.progress.as_ref().map_or("-".to_owned(), |progress| progress.step.clone())),
    ];
    if deployment.repo_url.is_some() {
        pairs.extend([
            ("repository", text(&deployment.repo_url)),
            ("branch", text(&deployment.branch)),
            ("commit", text(&deployment.commit_sha)),
            ("message", text(&deployment.commit_message)),
            ("author", text(&deployment.author_login)),
        ]);
    }
    pairs.extend([
        ("image", text(&deployment.docker_image_url)),
        ("digest", text(&deployment.docker_image_digest)),
        ("credential", credential),
        ("trigger", text(&deployment.trigger)),
        ("created", deployment.created_at.clone()),
        ("started", text(&deployment.started_at)),
        ("finished", text(&deployment.finished_at)),
    ]);
    output.record(&pairs)?;
    let Some(failure) = &deployment.failure else { return Ok(()) };
    output.line("")?;
    output.line(&failure.message)?;
    if let Some(hint) = &failure.hint {
        output.line(&format!("hint: {hint}"))?;
    }
    for line in outcome::details(failure) {
        output.line(&line)?;
    }
    Ok(())
}

fn text(field: &Option<String>) -> String {
    field.clone().filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned())
}

/// What is rolled out, for a list: the commit and what it says, else the image.
fn what(deployment: &Deployment) -> String {
    match (&deployment.commit_sha, &deployment.repo_url) {
        (Some(sha), _) => {
            let message = deployment.commit_message.as_deref().unwrap_or_default();
            let subject = message.lines().next().unwrap_or_default();
            let short: String = subject.chars().take(SUBJECT).collect();
            let rest = if short.len() < subject.len() { "..." } else { "" };
            format!("{} {short}{rest}", commit::short(sha)).trim_end().to_owned()
        }
        (None, Some(_)) => deployment.branch.clone().unwrap_or_else(|| "-".to_owned()),
        (None, None) => deployment.docker_image_url.clone().unwrap_or_default(),
    }
}

async fn newest(client: &Client, application: &ApplicationListItem) -> Result<Deployment, Failure> {
    let page = client.deployments(&application.id, 1).await?;
    page.data.into_iter().next().ok_or_else(|| {
        Failure::new(format!("{} was never deployed", application.name))
            .hint(format!("run `darsena deploy {}`", application.name))
    })
}

async fn cancel(client: &Client, name: &str, id: &str, output: &Output) -> Result<(), Failure> {
    let application = find::existing(client, name).await?;
    let message = client.cancel_deployment(&application.id, id).await?;
    if output.json { output.json(&message) } else { output.line(&message.message) }
}

fn status(deployment: &Deployment) -> &'static str {
    match deployment.status {
        None => "-",
        Some(DeploymentStatus::Waiting) => "waiting",
        Some(DeploymentStatus::InProgress) => "in progress",
        Some(DeploymentStatus::Success) => "success",
        Some(DeploymentStatus::Failed) => "failed",
        Some(DeploymentStatus::Cancelled) => "cancelled",
        Some(DeploymentStatus::Skipped) => "skipped",
    }
}
