//! `darsena registries`: the company's logins for its registries.

mod change;
mod create;
mod delete;
mod login;
mod show;
mod verify;

use client::Client;

use crate::failure::Failure;
use crate::output::Output;

/// What to do with registry credentials.
#[derive(clap::Subcommand)]
pub enum Command {
    /// All credentials, newest first.
    List,
    /// Store a login for a registry.
    ///
    /// The token is asked for, or read with --token-stdin. The login is tried before it is saved: one that the registry
    /// does not take is not stored. The possible values of --registry say which user name and token each takes;
    /// docs/registries.md says it at length.
    Create(create::Args),
    /// One credential, and the applications that use it.
    Show(Name),
    /// Change a credential; what changes counts from the next pull.
    ///
    /// Another registry, host or user name needs the token again. A login that the registry does not take is not saved:
    /// the credential then stays as it was.
    Update(change::Args),
    /// Try the stored login at its registry now.
    Verify(Name),
    /// Remove a credential; one that applications use is kept unless forced.
    Delete(delete::Args),
}

/// Which credential.
#[derive(clap::Args)]
pub struct Name {
    /// Name or id of the credential.
    #[arg(value_name = "NAME")]
    credential: String,
}

/// Runs one of them.
pub async fn run(client: &Client, command: &Command, output: &Output) -> Result<(), Failure> {
    match command {
        Command::List => show::list(client, output).await,
        Command::Create(args) => create::run(client, args, output).await,
        Command::Show(Name { credential }) => show::show(client, credential, output).await,
        Command::Update(args) => change::run(client, args, output).await,
        Command::Verify(Name { credential }) => verify::run(client, credential, output).await,
        Command::Delete(args) => delete::run(client, args, output).await,
    }
}
