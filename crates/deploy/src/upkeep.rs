//! What a keeper does for one container: bring it up, see that it lives and answers, start it again when it ends.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use engine::Status;
use model::{App, ContainerId, Failure, Phase, Probe, ProbeKind, Release, Timestamp};
use tokio::time::Instant;

use crate::back_off::BackOff;
use crate::condition::Running;
use crate::explain;
use crate::platform::Platform;

/// Shortest pause between two probes of a container that runs: more would only be load.
const SHORTEST_PERIOD: Duration = Duration::from_secs(1);

impl Platform {
    /// Runs the container again and again. Ends only by being dropped.
    pub(crate) async fn look_after(&self, app: &App, id: ContainerId, release: &Release) -> Infallible {
        let mut back_off = BackOff::new();
        loop {
            let started = Instant::now();
            self.keepers().note(app.id, &id, |condition| condition.phase = Running::Starting);
            let end = self.run_to_its_end(app, &id, release).await;
            // People get another instance, or "starting", instead of an error while nobody is there.
            self.leave_until_known(&app.name, &id).await;
            let pause = back_off.pause(started.elapsed());
            tracing::warn!(app = %app.name, container = %id, pause_ms = pause.as_millis() as u64, "a container ended: {end}; starting it again");
            self.keepers().note(app.id, &id, |condition| {
                let now = Timestamp::now();
                condition.phase = Running::BackingOff { until: now + pause };
                condition.restarts += 1;
                condition.last_end = Some(end);
                condition.last_end_at = Some(now);
            });
            tokio::time::sleep(pause).await;
        }
    }

    /// Brings the container up and waits for its end. Gives the end in words.
    async fn run_to_its_end(&self, app: &App, id: &ContainerId, release: &Release) -> String {
        let address = match self.bring_up(app, id, release).await {
            Ok(address) => address,
            Err(failure) => return failure.message,
        };
        self.keepers().note(app.id, id, |condition| condition.phase = Running::Running);
        tokio::select! {
            exit = self.engine().wait(id) => match exit {
                Ok(exit) => explain::end_words(&exit, release.limits.memory_mb),
                Err(error) => format!("it cannot be watched: {error}"),
            },
            why = self.until_dead(id, release, address) => {
                self.stop_what_hangs(id).await;
                format!("stopped: it was not alive any more: {why}")
            }
            never = self.follow_readiness(app, id, release, address) => match never {},
        }
    }

    /// Makes sure that the container runs, answers and is routed. One that is routed already is left alone.
    async fn bring_up(&self, app: &App, id: &ContainerId, release: &Release) -> Result<SocketAddr, Failure> {
        let running = match self.engine().status(id).await {
            Ok(Status::Running { address }) if self.routes().leads_to(&app.name, id, address).await => {
                return Ok(address);
            }
            Ok(Status::Running { address }) => Some(address),
            Ok(Status::Absent | Status::Created | Status::Exited(_)) => None,
            Err(error) => return Err(explain::internal(Phase::Start, "Bringing up the container", &error)),
        };
        // Its old address may be another container's in a moment.
        self.leave_until_known(&app.name, id).await;
        match self.prove(id, release, running).await {
            Ok(address) => {
                self.join_until_known(&app.name, id, address).await;
                Ok(address)
            }
            Err(failure) => {
                self.stop_what_hangs(id).await;
                Err(failure)
            }
        }
    }

    /// Starts the container unless it runs, and waits until it is healthy.
    async fn prove(
        &self,
        id: &ContainerId,
        release: &Release,
        running: Option<SocketAddr>,
    ) -> Result<SocketAddr, Failure> {
        let address = match running {
            Some(address) => address,
            None => {
                self.make_container(id.clone(), release).await?;
                self.start_container(id, release).await?
            }
        };
        self.until_healthy(id, release, address).await?;
        Ok(address)
    }

    /// What hangs must not be taken for what runs. Its log stays until the next one is made.
    async fn stop_what_hangs(&self, id: &ContainerId) {
        if let Err(error) = self.engine().stop(id, self.settings().stop_grace).await {
            tracing::error!(container = %id, %error, "a container that does not answer was not stopped");
            self.retire_container(id.clone()).await;
        }
    }

    /// Ends when the liveness probe failed as often as it may, with what was wrong; never without a probe.
    async fn until_dead(&self, id: &ContainerId, release: &Release, address: SocketAddr) -> String {
        let Some(probe) = &release.liveness else { return std::future::pending().await };
        tokio::time::sleep(Duration::from_millis(probe.initial_delay_ms)).await;
        let mut failures = 0;
        loop {
            tokio::time::sleep(period(probe)).await;
            match self.probe(id, address, probe).await {
                Ok(()) => failures = 0,
                Err(why) => {
                    failures += 1;
                    tracing::info!(container = %id, failures, "not alive: {why}");
                    if failures >= probe.failures {
                        return why;
                    }
                }
            }
        }
    }

    /// Takes the container out of the routes while it does not answer as its readiness probe wants, as long as
    /// another instance answers in its place. Without a probe of the application's own there is nothing to follow.
    async fn follow_readiness(
        &self,
        app: &App,
        id: &ContainerId,
        release: &Release,
        address: SocketAddr,
    ) -> Infallible {
        let probe = &release.probe;
        if probe.kind == ProbeKind::Tcp {
            return std::future::pending().await;
        }
        let (mut is_ready, mut in_a_row) = (true, 0);
        loop {
            tokio::time::sleep(period(probe)).await;
            let answer = self.probe(id, address, probe).await;
            // Attempts count that speak against what it is taken for.
            in_a_row = if answer.is_ok() == is_ready { 0 } else { in_a_row + 1 };
            match answer {
                Err(why) if is_ready && in_a_row >= probe.failures => {
                    tracing::warn!(app = %app.name, container = %id, "not ready any more: {why}");
                    (is_ready, in_a_row) = (false, 0);
                    self.keepers().note(app.id, id, |condition| condition.phase = Running::NotReady);
                }
                Ok(()) if !is_ready && in_a_row >= probe.successes => {
                    (is_ready, in_a_row) = (true, 0);
                    self.join_until_known(&app.name, id, address).await;
                    self.keepers().note(app.id, id, |condition| condition.phase = Running::Running);
                }
                _ => {}
            }
            if !is_ready {
                // Each time, because the one that stood in for it may be gone, or another one may be back.
                self.leave_to_others(app, id).await;
            }
        }
    }

    async fn leave_to_others(&self, app: &App, id: &ContainerId) {
        match self.routes().leave_to_others(&app.name, id).await {
            Ok(true) => {
                tracing::info!(app = %app.name, container = %id, "other instances answer in its place")
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(container = %id, %error, "the ingress does not know that it is not ready; it is told again");
            }
        }
    }
}

fn period(probe: &Probe) -> Duration {
    Duration::from_millis(probe.period_ms).max(SHORTEST_PERIOD)
}
