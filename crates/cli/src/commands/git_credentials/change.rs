//! `darsena git-credentials update`.

use client::Client;
use wire::*;

use crate::failure::Failure;
use crate::find;
use crate::output::Output;
use crate::token::{self, Source};

/// What to change.
#[derive(clap::Args)]
pub struct Args {
    /// Name or id of the credential.
    #[arg(value_name = "NAME")]
    credential: String,
    /// New name.
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: Option<String>,
    /// Another user name; the token is needed again.
    #[arg(long, value_name = "USER", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    username: Option<String>,
    /// Ask for a new token. --token-stdin means it too.
    #[arg(long)]
    new_token: bool,
    /// Read the token from stdin instead of asking for it: all of it, without the line break at its end.
    #[arg(long)]
    token_stdin: bool,
}

/// Sends only what differs.
pub async fn run(client: &Client, args: &Args, output: &Output) -> Result<(), Failure> {
    let takes_token = args.new_token || args.token_stdin || args.username.is_some();
    if args.name.is_none() && !takes_token {
        return Err(
            Failure::usage("nothing to change is named").hint("give --new-token, --name or --username")
        );
    }
    let credential = find::git_credential(client, &args.credential).await?;
    if takes_token && credential.kind == GitCredentialKind::DeployKey {
        return Err(Failure::usage(format!(
            "{} is a deploy key: it has no user name and no token",
            credential.name
        ))
        .hint("make another with `darsena git-credentials create key`"));
    }
    let known = credential.username.clone().unwrap_or_default();
    let username = args.username.clone().filter(|username| *username != known);
    let source = if args.token_stdin { Source::Stdin } else { Source::Terminal };
    let secret = match takes_token {
        true => Some(token::read(source, username.as_ref().unwrap_or(&known))?),
        false => None,
    };
    let name = args.name.clone().filter(|name| *name != credential.name);
    let body = UpdateGitCredential { name, username, secret };
    let updated = match body == UpdateGitCredential::default() {
        true => credential,
        false => client.update_git_credential(&credential.id, &body).await?,
    };
    if output.json {
        return output.json(&updated);
    }
    output.line(&format!("{} is up to date", updated.name))?;
    if takes_token {
        output.note("it counts from the next checkout; applications keep running");
    }
    Ok(())
}
