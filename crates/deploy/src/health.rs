//! Whether a new container is ready: probes first, then one request through the ingress.

use std::net::SocketAddr;
use std::time::Duration;

use engine::{Exit, Status};
use futures_util::future::try_join_all;
use ingress::ThroughFailure;
use model::deployment::Event;
use model::{ContainerId, Deployment, Failure, FailureCode, Phase, Probe, ProbeKind, Release};

use tokio::time::Instant;

use crate::container;
use crate::explain::{self, Silent};
use crate::platform::Platform;
use crate::routes::Exposure;
use crate::steps::{StepResult, instances};

/// First pause between two probes; each one doubles it up to the longest.
const FIRST_PROBE_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PROBE_PAUSE: Duration = Duration::from_millis(250);
/// A command costs a process and more.
const LONGEST_COMMAND_PAUSE: Duration = Duration::from_secs(1);
/// How often one looks where a silent container listens, and how often in a row it must be on loopback alone.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LOOPBACK_SEEN: u32 = 10;
/// How long a request through the ingress is tried, and the pause between two tries.
const PASS_LIMIT: Duration = Duration::from_secs(10);
const PASS_AGAIN: Duration = Duration::from_millis(100);
/// Longest time for the first answer through the ingress.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

impl Platform {
    /// Probes until every container is healthy and has answered a request through the ingress.
    pub(crate) async fn await_health(&self, deployment: &Deployment) -> StepResult {
        let release = self.release(deployment, Phase::Health).await?;
        let asking = instances(deployment.id, &release).map(|id| self.await_instance(id, &release));
        let statuses = try_join_all(asking).await?;
        self.note(deployment, &healthy_words(&statuses)).await;
        Ok(Event::Healthy)
    }

    /// Waits for one container. Gives the status of its first answer through the ingress.
    async fn await_instance(&self, id: ContainerId, release: &Release) -> Result<u16, Failure> {
        let address = self.still_there(&id, release).await?;
        self.until_healthy(&id, release, address).await?;
        failpoint::reach("S13");
        self.pass_one_request(&id, release, address).await
    }

    /// The container's address; after a restart of the machine it is made and started again first.
    async fn still_there(&self, id: &ContainerId, release: &Release) -> Result<SocketAddr, Failure> {
        match self.engine().status(id).await {
            Ok(Status::Running { address }) => Ok(address),
            Ok(Status::Absent | Status::Created) => {
                self.make_container(id.clone(), release).await?;
                self.start_container(id, release).await
            }
            Ok(Status::Exited(exit)) => Err(self.ended(Phase::Health, id, release, &exit).await),
            Err(error) => Err(explain::internal(Phase::Health, "Looking at the container", &error)),
        }
    }

    /// Waits for a healthy answer, the end of the container, or the deadline, whichever comes first.
    pub(crate) async fn until_healthy(
        &self,
        id: &ContainerId,
        release: &Release,
        address: SocketAddr,
    ) -> Result<(), Failure> {
        let probe = &release.probe;
        let deadline = Duration::from_millis(probe.deadline_ms);
        let started = Instant::now();
        let mut last_attempt = "no attempt was made".to_owned();
        tokio::select! {
            () = self.probe_until_healthy(id, address, probe, &mut last_attempt) => return Ok(()),
            exit = self.engine().wait(id) => match exit {
                Ok(exit) => return Err(self.ended(Phase::Health, id, release, &exit).await),
                Err(error) => return Err(explain::internal(Phase::Health, "Watching the container", &error)),
            },
            () = self.stays_on_loopback(id, release.port) => {}
            () = tokio::time::sleep(deadline) => {}
        }
        let listening = self.engine().listening(id).await.unwrap_or_default();
        Err(explain::never_answered(Silent {
            app: &self.app_name(release).await,
            port: release.port,
            listening: &listening,
            last_attempt: &last_attempt,
            waited_seconds: started.elapsed().as_secs(),
            log_tail: container::log_tail(self.engine(), id).await,
        }))
    }

    /// Ends when the container has its very port open, but only where nobody reaches it, for some seconds: it
    /// has made up its mind, and waiting longer helps nobody.
    async fn stays_on_loopback(&self, id: &ContainerId, port: u16) {
        let mut seen = 0;
        while seen < LOOPBACK_SEEN {
            tokio::time::sleep(LOOK_EVERY).await;
            let listening = self.engine().listening(id).await.unwrap_or_default();
            let mut on_port = listening.iter().filter(|address| address.port() == port).peekable();
            let only_loopback = on_port.peek().is_some() && on_port.all(|address| address.ip().is_loopback());
            seen = if only_loopback { seen + 1 } else { 0 };
        }
    }

    async fn probe_until_healthy(
        &self,
        id: &ContainerId,
        address: SocketAddr,
        probe: &Probe,
        last_attempt: &mut String,
    ) {
        tokio::time::sleep(Duration::from_millis(probe.initial_delay_ms)).await;
        let longest = match probe.kind {
            ProbeKind::Exec { .. } => LONGEST_COMMAND_PAUSE,
            _ => LONGEST_PROBE_PAUSE,
        };
        let mut pause = FIRST_PROBE_PAUSE;
        let mut successes = 0;
        loop {
            match self.probe(id, address, probe).await {
                Ok(()) => successes += 1,
                Err(unwell) => (successes, *last_attempt) = (0, unwell.words()),
            }
            if successes >= probe.successes {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// "Deployed" is only said of what has answered through the ingress; before the switch a secret token is
    /// the way to the new container. An ingress that was just started again has forgotten the token, and an
    /// application may drop its first connections, so it is tried for some seconds.
    async fn pass_one_request(
        &self,
        id: &ContainerId,
        release: &Release,
        address: SocketAddr,
    ) -> Result<u16, Failure> {
        let candidate = Candidate { platform: self.clone(), token: self.candidate_token() };
        let ends = Instant::now() + PASS_LIMIT;
        let mut why;
        loop {
            match self.ask_candidate(&candidate.token, id, release, address).await {
                Asked::Answered(status) => return Ok(status),
                Asked::Ended(exit) => return Err(self.ended(Phase::Health, id, release, &exit).await),
                Asked::Not(words) => why = words,
            }
            if Instant::now() > ends {
                return Err(self.not_through(id, release, &why).await);
            }
            tokio::time::sleep(PASS_AGAIN).await;
        }
    }

    async fn ask_candidate(
        &self,
        token: &str,
        id: &ContainerId,
        release: &Release,
        address: SocketAddr,
    ) -> Asked {
        let web = self.store().company(release.company).web_process(release.app).await;
        // A fault of the database is no reason to fail a container that may well answer in the usual way.
        let protocol = web.map(|process| Exposure::of(&process).protocol).unwrap_or_default();
        if let Err(error) = self.routes().add_candidate(token, id, address, protocol).await {
            return Asked::Not(ThroughFailure::NoIngress(error.to_string()));
        }
        let path = match &release.probe.kind {
            ProbeKind::Http { path, .. } => path.as_str(),
            ProbeKind::Tcp | ProbeKind::Exec { .. } => "/",
        };
        let host = format!("{}.{}", self.app_name(release).await, self.settings().domain);
        tokio::select! {
            answer = self.ingress().request_through(&host, Some(token), path, ANSWER_LIMIT) => match answer {
                Ok(status) => Asked::Answered(status),
                Err(why) => Asked::Not(why),
            },
            Ok(exit) = self.engine().wait(id) => Asked::Ended(exit),
        }
    }

    async fn not_through(&self, id: &ContainerId, release: &Release, why: &ThroughFailure) -> Failure {
        if let ThroughFailure::NoIngress(_) = why {
            return explain::internal(Phase::Route, "Asking through the ingress", why);
        }
        let (name, port) = (self.app_name(release).await, release.port);
        Failure {
            during: Phase::Health,
            code: FailureCode::ProbeFailed,
            message: format!(
                "{name} accepts connections on port {port} but answered no HTTP request: {why}."
            ),
            hint: Some("Check that this port speaks HTTP; another one may be the web port.".to_owned()),
            exit_code: None,
            log_tail: container::log_tail(self.engine(), id).await,
        }
    }
}

/// `Healthy; it answered a request through the ingress with 200`.
fn healthy_words(statuses: &[u16]) -> String {
    match statuses {
        [status] => format!("Healthy; it answered a request through the ingress with {status}"),
        statuses => {
            let words: Vec<_> = statuses.iter().map(u16::to_string).collect();
            format!("Healthy; each answered a request through the ingress: {}", words.join(", "))
        }
    }
}

/// What came of one request to a container that does not serve yet.
enum Asked {
    Answered(u16),
    Ended(Exit),
    Not(ThroughFailure),
}

/// The secret way to a container that does not serve yet. It is closed when the check ends, however it ends.
struct Candidate {
    platform: Platform,
    token: String,
}

impl Drop for Candidate {
    fn drop(&mut self) {
        let (platform, token) = (self.platform.clone(), std::mem::take(&mut self.token));
        tokio::spawn(async move {
            if let Err(error) = platform.routes().remove_candidate(&token).await {
                tracing::warn!(%error, "the ingress was not told that a check is over; the next table tells it");
            }
        });
    }
}
