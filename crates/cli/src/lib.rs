//! The command line: one file a subcommand, each a client of the API.
//!
//! Words, flags and exit codes are a contract that scripts rely on: 0 done, 1 failed, 2 wrong usage. What a
//! command found goes to stdout, as JSON with `--json`; everything else goes to stderr. Texts of the server are
//! cleaned before a terminal sees them.
//!
//! Two commands also need the machine itself (`doctor`, `images load`); the program hands that in as [`Local`].

mod ago;
mod clean;
mod commands;
mod commit;
mod failure;
mod find;
mod follow;
mod git_server;
mod host;
mod local;
mod login;
mod name;
mod output;
mod pair;
mod prompt;
mod quote;
mod registry;
mod size;
mod tail;
mod token;

use std::process::ExitCode;

use clap::Subcommand;

use commands::{
    apps, deploy, deployments, doctor, env, git, git_credentials, hooks, images, logs, promote, registries,
    setup, webhook,
};
use failure::Failure;
pub use local::{Check, LoadedImage, Local, LocalError};
use output::Output;

/// The words of the client; the program flattens them beside its own.
#[derive(Subcommand)]
pub enum Command {
    /// Make the first account of a server, and sign this user in.
    Setup(setup::Args),
    /// Run an image or a repository as an application, wait until it answers, and print its URL.
    Deploy(Box<deploy::Args>),
    /// Deploy the image of one application to another, without a new build.
    Promote(promote::Args),
    /// List, show, change, suspend, activate and delete applications.
    #[command(subcommand)]
    Apps(apps::Command),
    /// List, show, cancel and roll back deployments.
    #[command(subcommand)]
    Deployments(deployments::Command),
    /// What an application prints.
    Logs(logs::Args),
    /// The environment variables of an application.
    Env(env::Args),
    /// Logins for private registries: list, create, show, update, verify and delete them.
    #[command(subcommand)]
    Registries(registries::Command),
    /// Look into repositories.
    #[command(subcommand)]
    Git(git::Command),
    /// Logins for Git servers: list, create, show, update and delete them.
    #[command(subcommand)]
    GitCredentials(git_credentials::Command),
    /// The secret address that deploys an application: show, enable, regenerate and disable it.
    #[command(subcommand)]
    Hooks(hooks::Command),
    /// Deploying on a push to the repository: show, enable, regenerate and disable it.
    #[command(subcommand)]
    Webhook(webhook::Command),
    /// Look into images, and load them from a file.
    #[command(subcommand)]
    Images(images::Command),
    /// Check this machine and the connection to the server.
    Doctor(doctor::Args),
}

/// Runs one command to its end, with a runtime of its own.
pub fn run(command: Command, json: bool, local: &dyn Local) -> ExitCode {
    // Refused, and needed no more, when the program has done it before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let output = Output::new(json);
    let result = match &command {
        Command::Doctor(args) => doctor::run(args, local, &output),
        Command::Images(images::Command::Load(args)) => images::load(args, local, &output),
        _ => remote(&command, &output),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(&output),
    }
}

fn remote(command: &Command, output: &Output) -> Result<(), Failure> {
    block_on(async {
        if let Command::Setup(args) = command {
            return setup::run(args, output).await;
        }
        let client = login::client()?;
        match command {
            Command::Deploy(args) => deploy::run(&client, args, output).await,
            Command::Promote(args) => promote::run(&client, args, output).await,
            Command::Git(command) => git::run(&client, command, output).await,
            Command::GitCredentials(command) => git_credentials::run(&client, command, output).await,
            Command::Hooks(command) => hooks::run(&client, command, output).await,
            Command::Webhook(command) => webhook::run(&client, command, output).await,
            Command::Apps(command) => apps::run(&client, command, output).await,
            Command::Deployments(command) => deployments::run(&client, command, output).await,
            Command::Registries(command) => registries::run(&client, command, output).await,
            Command::Logs(args) => logs::run(&client, args, output).await,
            Command::Env(args) => env::run(&client, args, output).await,
            Command::Images(images::Command::Inspect(args)) => images::inspect(&client, args, output).await,
            Command::Setup(_) | Command::Doctor(_) | Command::Images(images::Command::Load(_)) => Ok(()),
        }
    })?
}

/// A command does one thing at a time, so one thread is enough.
fn block_on<F: Future>(work: F) -> Result<F::Output, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the command cannot start: {error}")))?;
    Ok(runtime.block_on(work))
}
