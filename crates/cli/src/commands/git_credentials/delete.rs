//! `darsena git-credentials delete`.

use client::Client;
use wire::CredentialUser;

use crate::failure::Failure;
use crate::find;
use crate::output::Output;
use crate::prompt;
use crate::quote;

/// Which credential to remove.
#[derive(clap::Args)]
pub struct Args {
    /// Name or id of the credential.
    #[arg(value_name = "NAME")]
    credential: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Also when applications use it: they keep running, and their next checkout is without a login.
    #[arg(long)]
    force: bool,
}

/// Removes it.
pub async fn run(client: &Client, args: &Args, output: &Output) -> Result<(), Failure> {
    let credential = find::git_credential(client, &args.credential).await?;
    let name = &credential.name;
    if !args.yes {
        confirm(name)?;
    }
    match client.delete_git_credential(&credential.id, args.force).await {
        Ok(message) if output.json => output.json(&message),
        Ok(message) => output.line(&message.message),
        Err(error) => match error.refusal() {
            Some(refusal) if refusal.code.as_deref() == Some("git_credential_in_use") => {
                Err(in_use(name, &refusal.applications))
            }
            _ => Err(error.into()),
        },
    }
}

fn confirm(name: &str) -> Result<(), Failure> {
    match prompt::shown(&format!("This removes the Git credential {name}. Type its name to go on: "))? {
        Some(typed) if typed.trim() == name => Ok(()),
        Some(_) => Err(Failure::new("nothing was removed: that is not its name")),
        None => Err(Failure::usage(format!("{name} is removed only when that is confirmed"))
            .hint(format!("run `darsena git-credentials delete {} --yes`", quote::word(name)))),
    }
}

/// `applications`: those that the caller may see; there may be more.
fn in_use(name: &str, applications: &[CredentialUser]) -> Failure {
    Failure::new(format!("{name} was not removed: applications use it"))
        .hint(format!(
            "give them another one with `darsena apps update APP --git-credential OTHER`, or run `darsena \
             git-credentials delete {} --force`: they keep running, and their next checkout is without a login",
            quote::word(name)
        ))
        .details(applications.iter().map(|application| format!("  {}", application.display_name)))
}
