//! `darsena git-credentials`: the company's logins for its Git servers.

mod change;
mod create;
mod delete;
mod show;

use client::Client;

use crate::failure::Failure;
use crate::output::Output;

/// What to do with Git credentials.
#[derive(clap::Subcommand)]
pub enum Command {
    /// All credentials, newest first.
    List,
    /// Store a login for a Git server.
    #[command(subcommand)]
    Create(create::Kind),
    /// One credential, its public key and the keys of its server, and the applications that use it.
    Show(Name),
    /// Change a credential; what changes counts from the next checkout.
    Update(change::Args),
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
        Command::Create(kind) => create::run(client, kind, output).await,
        Command::Show(Name { credential }) => show::show(client, credential, output).await,
        Command::Update(args) => change::run(client, args, output).await,
        Command::Delete(args) => delete::run(client, args, output).await,
    }
}
