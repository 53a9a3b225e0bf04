//! `darsena git-credentials create`.

use client::Client;
use wire::*;

use super::show::fingerprints;
use crate::failure::Failure;
use crate::git_server;
use crate::host;
use crate::output::Output;
use crate::quote;
use crate::token::{self, Source};

/// Which kind of login to store.
#[derive(clap::Subcommand)]
pub enum Kind {
    /// A user name and a token, for repositories at https addresses.
    ///
    /// The token is asked for, or read with --token-stdin. It is stored sealed, and sent to its own host over https and
    /// nowhere else.
    Token(Token),
    /// A deploy key, for repositories at ssh addresses.
    ///
    /// The pair is made on the server; its private half never leaves it. The public half is printed, to be given to the
    /// Git server. The server's own host keys are remembered: one with other keys is refused.
    Key(Key),
}

/// What both kinds have.
#[derive(clap::Args)]
pub struct Place {
    /// Name to know it by, as team or acme-github.
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: String,
    /// Git server, as github.com or git.example.com:2222.
    #[arg(long, value_name = "HOST[:PORT]", value_parser = host::parse)]
    host: String,
}

#[derive(clap::Args)]
pub struct Token {
    #[command(flatten)]
    place: Place,
    /// User name that goes with the token; it is no secret.
    #[arg(long, value_name = "USER", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    username: String,
    /// Read the token from stdin instead of asking for it: all of it, without the line break at its end.
    #[arg(long)]
    token_stdin: bool,
}

#[derive(clap::Args)]
pub struct Key {
    #[command(flatten)]
    place: Place,
}

/// Stores the login.
pub async fn run(client: &Client, kind: &Kind, output: &Output) -> Result<(), Failure> {
    let place = match kind {
        Kind::Token(token) => &token.place,
        Kind::Key(key) => &key.place,
    };
    free_name(client, &place.name).await?;
    match kind {
        Kind::Token(args) => store_token(client, args, output).await,
        Kind::Key(args) => make_key(client, args, output).await,
    }
}

async fn store_token(client: &Client, args: &Token, output: &Output) -> Result<(), Failure> {
    let Place { name, host } = &args.place;
    if let Some(facts) = git_server::at(host).filter(|_| !output.json) {
        output.note(&format!("{} takes", facts.title));
        output.note(&format!("  user name: {}", facts.user));
        output.note(&format!("  token: {}", facts.token));
    }
    let source = if args.token_stdin { Source::Stdin } else { Source::Terminal };
    let body = CreateGitCredential {
        name: name.clone(),
        kind: GitCredentialKind::Token,
        host: host.clone(),
        username: Some(args.username.clone()),
        secret: Some(token::read(source, &args.username)?),
    };
    let created = client.create_git_credential(&body).await?;
    if output.json {
        return output.json(&created);
    }
    output.line(&format!("{name} is stored for {}", created.host))?;
    let word = quote::word(name);
    output.note(&format!(
        "try it with `darsena git inspect https://{}/OWNER/REPOSITORY --git-credential {word}`, use it with \
         `darsena deploy APP --git URL --git-credential {word}`",
        created.host
    ));
    Ok(())
}

async fn make_key(client: &Client, args: &Key, output: &Output) -> Result<(), Failure> {
    let Place { name, host } = &args.place;
    let body = CreateGitCredential {
        name: name.clone(),
        kind: GitCredentialKind::DeployKey,
        host: host.clone(),
        username: None,
        secret: None,
    };
    let created = client.create_git_credential(&body).await?;
    if output.json {
        return output.json(&created);
    }
    output.line(created.public_key.as_deref().unwrap_or_default())?;
    output.note(&format!("{name} is stored. Give the line above to {}, for reading only:", created.host));
    for line in places(&created.host) {
        output.note(&line);
    }
    output.note(&format!("{} showed these host keys, and no others are taken from now on;", created.host));
    output.note("compare them with those that it publishes:");
    for line in fingerprints(&created) {
        output.note(&format!("  {line}"));
    }
    output.note(&format!(
        "use it with `darsena deploy APP --git ssh://git@{}/OWNER/REPOSITORY --git-credential {}`",
        created.host,
        quote::word(name)
    ));
    Ok(())
}

/// Where the public half goes, at this server or at each that is known.
fn places(host: &str) -> Vec<String> {
    match git_server::at(host) {
        Some(facts) => vec![format!("  {}", facts.key)],
        None => git_server::ALL.iter().map(|facts| format!("  {}: {}", facts.title, facts.key)).collect(),
    }
}

/// Another credential of this name would make the name useless.
async fn free_name(client: &Client, name: &str) -> Result<(), Failure> {
    if client.git_credentials().await?.iter().all(|credential| credential.name != name) {
        return Ok(());
    }
    Err(Failure::new(format!("there is a Git credential named {name} already")).hint(format!(
        "change it with `darsena git-credentials update {}`, or choose another name",
        quote::word(name)
    )))
}
