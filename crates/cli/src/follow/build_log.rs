//! The lines of a build while it goes on, from the deployment's own log.

use std::time::{Duration, Instant};

use client::{Client, LogQuery};
use jiff::Timestamp;
use wire::{Deployment, LogEntry};

use crate::tail::{MOST, Tail};

/// How often new lines are asked for.
const PAUSE: Duration = Duration::from_millis(500);

const GAP: &str = "(lines came faster than they can be read; some are not shown)";

/// Where a follower of a build is. What the log tells before the first step and after the last one is told otherwise.
#[derive(Default)]
pub struct BuildLog {
    tail: Tail,
    /// Lines that were read and not told yet.
    read: Vec<LogEntry>,
    has_gap: bool,
    /// Start of the first step, in microseconds since 1970.
    since: Option<i64>,
    /// End of the last step, when the build is over and that was seen.
    until: Option<i64>,
    asked: Option<Instant>,
    is_over: bool,
}

impl BuildLog {
    /// Reads new lines now and then. To be called before the deployment is looked at, so that its state says what they
    /// belong to.
    pub async fn look(&mut self, client: &Client, application: &str, deployment: &str) {
        let is_soon = self.asked.is_some_and(|asked| asked.elapsed() < PAUSE);
        if self.since.is_some() && !self.is_over && !is_soon {
            self.read(client, application, deployment).await;
        }
    }

    /// The lines that came since the last call.
    pub async fn news(&mut self, client: &Client, application: &str, deployment: &Deployment) -> Vec<String> {
        self.learn(deployment);
        if self.since.is_some() && !self.is_over && !is_building(deployment) {
            self.read(client, application, &deployment.id).await;
            self.is_over = true;
        }
        self.take(deployment)
    }

    fn learn(&mut self, deployment: &Deployment) {
        let steps = deployment.progress.as_ref().map(|progress| progress.build_steps.as_slice());
        let (Some(first), Some(last)) = (steps.and_then(<[_]>::first), steps.and_then(<[_]>::last)) else {
            return;
        };
        self.since = self.since.or_else(|| moment(&first.started_at));
        self.until = last.finished_at.as_deref().and_then(moment).filter(|_| !is_building(deployment));
    }

    /// A log that cannot be read now is no reason to stop: the next look brings its lines.
    async fn read(&mut self, client: &Client, application: &str, deployment: &str) {
        self.asked = Some(Instant::now());
        let since = self.since.and_then(|since| Timestamp::from_microsecond(since).ok());
        let from = self.tail.from().or_else(|| since.map(|since| since.to_string()));
        let query = LogQuery { from, limit: Some(MOST), containing: None };
        if let Ok(entries) = client.deployment_logs(application, deployment, &query).await {
            self.has_gap |= self.tail.has_gap(&entries);
            self.read.extend(self.tail.new_ones(entries));
        }
    }

    fn take(&mut self, deployment: &Deployment) -> Vec<String> {
        let failed = deployment.failure.as_ref().map(|failure| failure.message.as_str());
        let gap = std::mem::take(&mut self.has_gap).then_some(GAP);
        let lines = self.read.drain(..).filter(|entry| {
            let at = Some(entry.unix_timestamp);
            at >= self.since && self.until.is_none_or(|until| entry.unix_timestamp <= until)
        });
        // What comes after the failure itself is told at the end.
        let lines = lines.map(|entry| entry.message).take_while(|line| failed != Some(line.as_str()));
        gap.map(str::to_owned).into_iter().chain(lines).collect()
    }
}

/// Whether the steps of its Dockerfile are run now.
pub fn is_building(deployment: &Deployment) -> bool {
    deployment.progress.as_ref().is_some_and(|progress| progress.step == "building")
}

fn moment(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(|at| at.as_microsecond())
}
