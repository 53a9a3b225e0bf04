//! `darsena logs`: what an application prints, or what a deployment did.

use std::time::Duration;

use client::{Client, LogQuery};
use wire::{ApplicationListItem, LogEntry};

use crate::failure::Failure;
use crate::find;
use crate::output::Output;
use crate::tail::{MOST, Tail};

/// How often new lines are asked for.
const PAUSE: Duration = Duration::from_millis(500);

/// Oldest line first.
#[derive(clap::Args)]
pub struct Args {
    /// Name of the application.
    name: String,
    /// Go on with new lines as they come, until Ctrl-C or the end of the deployment.
    #[arg(long, short)]
    follow: bool,
    /// The newest so many lines.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=5000))]
    lines: u32,
    /// Only lines that hold this text.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// What this deployment did, instead of what the application prints.
    #[arg(long, value_name = "ID")]
    deployment: Option<String>,
}

/// Prints the newest lines, and with `-f` all that come.
pub async fn run(client: &Client, args: &Args, output: &Output) -> Result<(), Failure> {
    let application = find::existing(client, &args.name).await?;
    // From the beginning: the server's own default is the last hour.
    let from = Some(application.created_at.clone());
    let query = LogQuery { from, limit: Some(args.lines), containing: args.filter.clone() };
    let entries = ask(client, &application, args, &query).await?;
    if output.json && !args.follow {
        return output.json(&entries);
    }
    let mut tail = Tail::default();
    for entry in tail.new_ones(entries) {
        print(&entry, output)?;
    }
    if !args.follow {
        return Ok(());
    }
    go_on(client, &application, args, tail, output).await
}

async fn go_on(
    client: &Client,
    application: &ApplicationListItem,
    args: &Args,
    mut tail: Tail,
    output: &Output,
) -> Result<(), Failure> {
    loop {
        tokio::time::sleep(PAUSE).await;
        // Asked first, so that its last lines are read after it ended.
        let is_over = is_over(client, application, args).await;
        let from = Some(tail.from().unwrap_or_else(|| application.created_at.clone()));
        let query = LogQuery { from, limit: Some(MOST), containing: args.filter.clone() };
        let entries = match ask(client, application, args, &query).await {
            Ok(entries) => entries,
            // A restart of the server is no reason to stop; nothing is lost, the lines are asked for again.
            Err(error) if error.is_passing() => continue,
            Err(error) => return Err(error.into()),
        };
        if tail.has_gap(&entries) {
            output.labelled("warning", "lines came faster than they can be read; some are not shown");
        }
        for entry in tail.new_ones(entries) {
            print(&entry, output)?;
        }
        if is_over {
            return Ok(());
        }
    }
}

/// An application goes on for ever, a deployment does not. While the server is away nothing is known.
async fn is_over(client: &Client, application: &ApplicationListItem, args: &Args) -> bool {
    let Some(deployment) = &args.deployment else { return false };
    let deployment = client.deployment(&application.id, deployment).await;
    deployment.is_ok_and(|deployment| deployment.status.is_some_and(|status| status.is_final()))
}

async fn ask(
    client: &Client,
    application: &ApplicationListItem,
    args: &Args,
    query: &LogQuery,
) -> Result<Vec<LogEntry>, client::Error> {
    match &args.deployment {
        Some(deployment) => client.deployment_logs(&application.id, deployment, query).await,
        None => client.runtime_logs(&application.id, query).await,
    }
}

fn print(entry: &LogEntry, output: &Output) -> Result<(), Failure> {
    if output.json {
        output.json_line(entry)
    } else {
        match entry.tags.get("instance") {
            Some(instance) => output.line(&format!("{}  [{instance}] {}", entry.timestamp, entry.message)),
            None => output.line(&format!("{}  {}", entry.timestamp, entry.message)),
        }
    }
}
