//! `darsena env`: the variables of an application.

use std::io::Read;

use client::Client;
use serde_json::json;

use super::variables::{self, Use};
use crate::failure::Failure;
use crate::find;
use crate::output::Output;
use crate::pair::{Pair, check_key};

/// Changes count from the next deployment.
#[derive(clap::Args)]
pub struct Args {
    /// Name of the application.
    name: String,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What to do with the variables; left out: list.
#[derive(clap::Subcommand)]
enum Command {
    /// All variables, without their values.
    List(List),
    /// Set variables; others stay.
    Set {
        /// May be repeated. Other users of this machine can see it in `ps`.
        #[arg(value_name = "K=V", required_unless_present = "stdin")]
        pairs: Vec<String>,
        /// Read K=V from stdin, one a line, so that no value is seen in `ps`.
        #[arg(long)]
        stdin: bool,
        /// Only the build gets them, as ARG and as a secret of that id.
        #[arg(long, conflicts_with = "runtime")]
        build: bool,
        /// Only the application gets them, and no build.
        #[arg(long)]
        runtime: bool,
    },
    /// Remove variables.
    Unset {
        /// May be repeated.
        #[arg(value_name = "K", required = true)]
        keys: Vec<String>,
    },
}

#[derive(clap::Args, Default)]
struct List {
    /// Show the values too.
    #[arg(long)]
    show: bool,
}

/// Runs one of them.
pub async fn run(client: &Client, args: &Args, output: &Output) -> Result<(), Failure> {
    match &args.command {
        None => list(client, &args.name, &List::default(), output).await,
        Some(Command::List(options)) => list(client, &args.name, options, output).await,
        Some(Command::Set { pairs, stdin, build, runtime }) => {
            let pairs = pairs_of(pairs, *stdin)?;
            let application = find::existing(client, &args.name).await?;
            let changed = variables::set(client, &application.id, &pairs, usage(*build, *runtime)).await?;
            said(&args.name, &changed, output)
        }
        Some(Command::Unset { keys }) => {
            keys.iter().try_for_each(|key| check_key(key))?;
            let application = find::existing(client, &args.name).await?;
            variables::unset(client, &application.id, keys).await?;
            said(&args.name, keys, output)
        }
    }
}

async fn list(client: &Client, name: &str, options: &List, output: &Output) -> Result<(), Failure> {
    let application = find::existing(client, name).await?;
    let variables = client.env_vars(&application.id).await?;
    if output.json {
        let rows: Vec<_> = variables
            .iter()
            .map(|variable| {
                json!({
                    "id": variable.id,
                    "key": variable.key,
                    "value": options.show.then_some(&variable.value),
                    "is_runtime": variable.is_runtime,
                    "is_buildtime": variable.is_buildtime,
                    "updated_at": variable.updated_at,
                })
            })
            .collect();
        return output.json(&rows);
    }
    if variables.is_empty() {
        output.note(&format!("{name} has no variables; `darsena env {name} set K=V` sets one"));
        return Ok(());
    }
    let rows = variables.iter().map(|variable| {
        let value = if options.show { variable.value.expose() } else { "(hidden)" };
        vec![variable.key.clone(), value.to_owned(), variables::used_by(variable).to_owned()]
    });
    output.table(&["KEY", "VALUE", "FOR"], rows)
}

fn usage(build: bool, runtime: bool) -> Use {
    match (build, runtime) {
        (true, _) => Use::Build,
        (_, true) => Use::Runtime,
        (false, false) => Use::Kept,
    }
}

fn pairs_of(given: &[String], stdin: bool) -> Result<Vec<Pair>, Failure> {
    let mut text = String::new();
    if stdin {
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| Failure::new(format!("the variables cannot be read from stdin: {error}")))?;
    }
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    Pair::parse_all(given.iter().map(String::as_str).chain(lines))
}

fn said(name: &str, keys: &[String], output: &Output) -> Result<(), Failure> {
    if output.json {
        return output.json(&json!({"changed": keys}));
    }
    if keys.is_empty() {
        return output.line("nothing changed");
    }
    output.line(&format!("changed: {}", keys.join(", ")))?;
    output.note(&format!("it counts from the next deployment: `darsena deploy {name}`"));
    Ok(())
}
