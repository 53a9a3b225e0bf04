//! `darsena logs`: what an application prints, or what a deployment did.

use std::time::Duration;

use client::{Client, LogQuery};
use jiff::Timestamp;
use wire::{ApplicationListItem, LogEntry};

use crate::failure::Failure;
use crate::find;
use crate::output::Output;

/// How often new lines are asked for.
const PAUSE: Duration = Duration::from_millis(500);

/// The most lines that the API gives at once.
const MOST: u32 = 5000;

/// Oldest line first.
#[derive(clap::Args)]
pub struct Args {
    /// Name of the application.
    name: String,
    /// Go on with new lines as they come, until Ctrl-C.
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
    }
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

/// Where a follower is. Ids are unique within one answer only, so the place is told by the last moment and by
/// how many lines of that moment were shown.
#[derive(Default)]
struct Tail {
    last: Option<i64>,
    shown: usize,
}

impl Tail {
    /// Start of the next range: the last moment itself, for lines of the same moment that were not there yet.
    fn from(&self) -> Option<String> {
        Timestamp::from_microsecond(self.last?).ok().map(|moment| moment.to_string())
    }

    /// The lines that were not shown yet, which count as shown from now on.
    fn new_ones(&mut self, entries: Vec<LogEntry>) -> Vec<LogEntry> {
        let (last, mut known) = (self.last, self.shown);
        let new: Vec<LogEntry> = entries
            .into_iter()
            .filter(|entry| match last {
                Some(last) if entry.unix_timestamp < last => false,
                Some(last) if entry.unix_timestamp == last && known > 0 => {
                    known -= 1;
                    false
                }
                _ => true,
            })
            .collect();
        for entry in &new {
            if self.last == Some(entry.unix_timestamp) {
                self.shown += 1;
            } else if self.last < Some(entry.unix_timestamp) {
                (self.last, self.shown) = (Some(entry.unix_timestamp), 1);
            }
        }
        new
    }

    /// Whether a full answer begins after the place: then the lines between are not in it.
    fn has_gap(&self, entries: &[LogEntry]) -> bool {
        entries.len() >= MOST as usize
            && self.last.is_some_and(|last| entries.first().is_some_and(|entry| entry.unix_timestamp > last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: i64, message: &str) -> LogEntry {
        LogEntry {
            id: message.into(),
            message: message.into(),
            service: "APP_RUNTIME".into(),
            severity: "INFO".into(),
            timestamp: String::new(),
            tags: serde_json::Map::new(),
            attributes: serde_json::Map::new(),
            unix_timestamp: at,
        }
    }

    #[test]
    fn a_follower_sees_every_line_once() {
        let mut tail = Tail::default();
        let mut see = |entries: &[(i64, &str)]| -> Vec<String> {
            let entries = entries.iter().map(|(at, message)| entry(*at, message)).collect();
            tail.new_ones(entries).into_iter().map(|entry| entry.message).collect()
        };
        assert_eq!(see(&[(1, "a"), (2, "b")]), ["a", "b"]);
        assert_eq!(see(&[(2, "b")]), [""; 0]);
        assert_eq!(see(&[(2, "b"), (2, "c")]), ["c"]);
        assert_eq!(see(&[(2, "b"), (2, "c"), (2, "d"), (5, "e")]), ["d", "e"]);
        assert_eq!(see(&[(5, "e"), (5, "f")]), ["f"]);
        assert_eq!(tail.from().as_deref(), Some("1970-01-01T00:00:00.000005Z"));
    }

    #[test]
    fn a_full_answer_that_begins_later_has_a_gap() {
        let tail = Tail { last: Some(5), shown: 1 };
        let full = |first: i64| -> Vec<LogEntry> {
            (first..first + i64::from(MOST)).map(|at| entry(at, "x")).collect()
        };
        assert!(tail.has_gap(&full(6)));
        assert!(!tail.has_gap(&full(5)));
        assert!(!tail.has_gap(&[entry(6, "x")]));
    }
}
