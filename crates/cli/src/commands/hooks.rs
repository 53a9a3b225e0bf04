//! `darsena hooks`: the secret address that deploys an application.

use client::Client;
use wire::{ApplicationSource, DeploymentHook};

use crate::ago::ago;
use crate::failure::Failure;
use crate::find;
use crate::output::Output;

/// What to do with the deploy hook of an application. Whoever knows its address may deploy, and nothing else.
#[derive(clap::Subcommand)]
pub enum Command {
    /// The address, and how to call it.
    Show(Name),
    /// Switch the hook on and print its address; one that is on stays as it is.
    Enable(Name),
    /// Make another address; the old one stops at once.
    Regenerate(Name),
    /// Switch the hook off. Switching it on later makes another address.
    Disable(Name),
}

/// Which application.
#[derive(clap::Args)]
pub struct Name {
    /// Name of the application.
    name: String,
}

/// Runs one of them.
pub async fn run(client: &Client, command: &Command, output: &Output) -> Result<(), Failure> {
    let (Command::Show(Name { name })
    | Command::Enable(Name { name })
    | Command::Regenerate(Name { name })
    | Command::Disable(Name { name })) = command;
    let application = find::existing(client, name).await?;
    let (id, source) = (application.id, application.source);
    match command {
        Command::Show(_) => match client.deployment_hook(&id).await? {
            Some(hook) => said(&hook, source, output),
            None => Err(off(name)),
        },
        Command::Enable(_) => said(&client.enable_deployment_hook(&id).await?, source, output),
        Command::Regenerate(_) => match client.deployment_hook(&id).await? {
            Some(_) => said(&client.regenerate_deployment_hook(&id).await?, source, output),
            None => Err(off(name)),
        },
        Command::Disable(_) => {
            client.disable_deployment_hook(&id).await?;
            super::webhook::is_off(name, "deploy hook", output)
        }
    }
}

fn off(name: &str) -> Failure {
    Failure::new(format!("the deploy hook of {name} is off"))
        .hint(format!("run `darsena hooks enable {name}`"))
}

fn said(hook: &DeploymentHook, source: ApplicationSource, output: &Output) -> Result<(), Failure> {
    if output.json {
        return output.json(hook);
    }
    let url = hook.url.expose();
    output.line(url)?;
    output.note("keep it secret: whoever knows it may deploy. A POST deploys the configured source, or what it names:");
    output.note(&format!("  curl -fsS -X POST '{url}'"));
    let named = match source {
        ApplicationSource::DockerImage => "-d tag=1.4",
        _ => "-d commit=\"$(git rev-parse HEAD)\"",
    };
    output.note(&format!("  curl -fsS '{url}' {named}"));
    if let Some(at) = &hook.last_called_at {
        output.note(&format!("last called {}", ago(at)));
    }
    Ok(())
}
