//! `darsena apps`.

mod change;
mod show;

use client::Client;
use wire::*;

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
    /// Change how an application runs and where it comes from.
    Update(Box<change::Args>),
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
        Command::Show(Name { name }) => show::run(client, name, output).await,
        Command::Update(args) => change::run(client, args, output).await,
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
        output.note(
            "there are no applications yet; `darsena deploy NAME --image REF` or `--git URL` makes one",
        );
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
