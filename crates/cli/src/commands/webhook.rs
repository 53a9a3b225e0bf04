//! `darsena webhook`: deploying when the repository is pushed to.

use client::Client;
use serde_json::json;
use wire::PushWebhook;

use crate::ago::ago;
use crate::failure::Failure;
use crate::find;
use crate::git_server;
use crate::output::Output;

/// What to do with the push webhook of an application.
#[derive(clap::Subcommand)]
pub enum Command {
    /// The address that the Git server has to call.
    Show(Name),
    /// Switch the webhook on; prints address and secret, and where to enter them.
    Enable(Name),
    /// Make another secret; the old one stops at once.
    Regenerate(Name),
    /// Switch the webhook off.
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
    let id = find::existing(client, name).await?.id;
    match command {
        Command::Show(_) => match client.push_webhook(&id).await? {
            Some(webhook) => said(&webhook, &[], output),
            None => Err(off(name)),
        },
        Command::Enable(_) => {
            let application = client.application(&id).await?;
            let mut places = places(application.repo_url.as_deref().unwrap_or_default());
            if !application.auto_deploy {
                places.push(format!(
                    "pushes do nothing yet: `darsena apps update {name} --auto-deploy` lets them deploy"
                ));
            }
            let webhook = client.enable_push_webhook(&id).await?;
            if webhook.secret.is_none() && !output.json {
                output.note(&format!(
                    "it was on already; its secret was shown then, `darsena webhook regenerate {name}` makes another"
                ));
            }
            said(&webhook, &places, output)
        }
        Command::Regenerate(_) => match client.push_webhook(&id).await? {
            Some(_) => said(&client.regenerate_push_webhook(&id).await?, &[], output),
            None => Err(off(name)),
        },
        Command::Disable(_) => {
            client.disable_push_webhook(&id).await?;
            is_off(name, "push webhook", output)
        }
    }
}

fn off(name: &str) -> Failure {
    Failure::new(format!("the push webhook of {name} is off"))
        .hint(format!("run `darsena webhook enable {name}`"))
}

/// The confirmation of `disable`.
pub fn is_off(name: &str, what: &str, output: &Output) -> Result<(), Failure> {
    let words = format!("the {what} of {name} is off");
    if output.json { output.json(&json!({ "message": words })) } else { output.line(&words) }
}

fn said(webhook: &PushWebhook, places: &[String], output: &Output) -> Result<(), Failure> {
    if output.json {
        return output.json(webhook);
    }
    let mut pairs = vec![("url", webhook.url.clone())];
    pairs.extend(webhook.secret.as_ref().map(|secret| ("secret", secret.expose().to_owned())));
    pairs.push(("last push", webhook.last_called_at.as_deref().map_or("never".to_owned(), ago)));
    output.record(&pairs)?;
    if webhook.secret.is_some() {
        output.note("the secret is shown this once");
    }
    for place in places {
        output.note(place);
    }
    Ok(())
}

/// Where address and secret are entered: at the server of the repository, or at each that is known.
fn places(url: &str) -> Vec<String> {
    match git_server::at(git_server::host_of(url)) {
        Some(facts) => vec![format!("{}: {}", facts.title, facts.webhook)],
        None => git_server::ALL.iter().map(|facts| format!("{}: {}", facts.title, facts.webhook)).collect(),
    }
}
