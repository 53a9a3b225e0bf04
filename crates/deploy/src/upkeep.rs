//! What a keeper does for one container: bring it up, see that it lives and answers, start it again when it ends.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use engine::{EngineError, Status};
use model::{App, ContainerId, Failure, Probe, Release, Timestamp};
use tokio::time::Instant;

use crate::back_off::BackOff;
use crate::condition::Running;
use crate::explain;
use crate::platform::Platform;
use crate::probing::Unwell;

/// Shortest pause between two probes of a container that runs: more would only be load.
const SHORTEST_PERIOD: Duration = Duration::from_secs(1);
/// Pause before the engine is asked again, when it did not say how a container is.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl Platform {
    /// Runs the container again and again. Ends only by being dropped.
    pub(crate) async fn look_after(&self, app: &App, id: ContainerId, release: &Release) -> Infallible {
        let mut back_off = BackOff::new();
        loop {
            self.keepers().note(app.id, &id, |condition| condition.phase = Running::Starting);
            let Ended { words: end, ran } = match self.run_to_its_end(app, &id, release).await {
                Ok(ended) => ended,
                // What may well run is left in the routes, and is not started a second time.
                Err(error) => {
                    tracing::error!(container = %id, %error, "it is not known how a container is; asking again");
                    tokio::time::sleep(ASK_AGAIN).await;
                    continue;
                }
            };
            // People get another instance, or "starting", instead of an error while nobody is there.
            self.leave_until_known(&app.name, &id).await;
            let pause = back_off.pause(ran);
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

    /// Brings the container up and waits for its end.
    async fn run_to_its_end(
        &self,
        app: &App,
        id: &ContainerId,
        release: &Release,
    ) -> Result<Ended, EngineError> {
        let (address, is_ready) = match self.bring_up(app, id, release).await? {
            Ok(up) => up,
            Err(failure) => return Ok(Ended { words: failure.message, ran: Duration::ZERO }),
        };
        let phase = if is_ready { Running::Running } else { Running::NotReady };
        self.keepers().note(app.id, id, |condition| condition.phase = phase);
        let up_since = Instant::now();
        let words = tokio::select! {
            exit = self.engine().wait(id) => explain::end_words(&exit?, release.limits.memory_mb),
            why = self.until_dead(id, release, address) => {
                // Others answer from here on, while it is given time to end.
                self.leave_until_known(&app.name, id).await;
                self.stop_what_hangs(id).await;
                format!("stopped: it was not alive any more: {why}")
            }
            never = self.follow_readiness(app, id, release, address, is_ready) => match never {},
        };
        Ok(Ended { words, ran: up_since.elapsed() })
    }

    /// Makes sure that the container runs, answers and is routed; gives its address and whether it is ready. One that
    /// is routed already is left alone, and so is one that a person's readiness probe keeps out of the routes.
    async fn bring_up(
        &self,
        app: &App,
        id: &ContainerId,
        release: &Release,
    ) -> Result<Result<(SocketAddr, bool), Failure>, EngineError> {
        let running = match self.engine().status(id).await? {
            Status::Running { address } if self.routes().leads_to(&app.name, id, address).await => {
                return Ok(Ok((address, true)));
            }
            Status::Running { address } if is_followed(&release.probe) => return Ok(Ok((address, false))),
            Status::Running { address } => Some(address),
            Status::Absent | Status::Created | Status::Exited(_) => None,
        };
        // Its old address may be another container's in a moment.
        self.leave_until_known(&app.name, id).await;
        Ok(match self.prove(id, release, running).await {
            Ok(address) => {
                self.join_until_known(&app.name, id, address).await;
                Ok((address, true))
            }
            Err(failure) => {
                self.stop_what_hangs(id).await;
                Err(failure)
            }
        })
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
                // Whatever is the matter with the machine, it says nothing about the application.
                Err(Unwell::Unknown(why)) => {
                    tracing::warn!(container = %id, "it is not known whether it is alive: {why}")
                }
                Err(Unwell::Seen(why)) => {
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
        mut is_ready: bool,
    ) -> Infallible {
        let probe = &release.probe;
        if !is_followed(probe) {
            return std::future::pending().await;
        }
        let (mut was_ready, mut in_a_row) = (is_ready, 0);
        loop {
            tokio::time::sleep(period(probe)).await;
            let answer = match self.probe(id, address, probe).await {
                Ok(()) => Ok(()),
                Err(Unwell::Seen(why)) => Err(why),
                Err(Unwell::Unknown(_)) => continue,
            };
            // Attempts count that speak against what it is taken for.
            in_a_row = if answer.is_ok() == is_ready { 0 } else { in_a_row + 1 };
            match answer {
                Err(why) if is_ready && in_a_row >= probe.failures => {
                    tracing::warn!(app = %app.name, container = %id, "not ready any more: {why}");
                    (is_ready, in_a_row) = (false, 0);
                    self.keepers().note(app.id, id, |condition| condition.phase = Running::NotReady);
                }
                Ok(()) if !is_ready && in_a_row >= probe.successes => {
                    (is_ready, was_ready, in_a_row) = (true, true, 0);
                    self.join_until_known(&app.name, id, address).await;
                    self.keepers().note(app.id, id, |condition| condition.phase = Running::Running);
                }
                _ => {}
            }
            if !is_ready && was_ready {
                // Each time, because the one that stood in for it may be gone, or another one may be back.
                self.leave_to_others(app, id, address).await;
            }
        }
    }

    async fn leave_to_others(&self, app: &App, id: &ContainerId, address: SocketAddr) {
        match self.routes().leave_to_others(&app.name, id, address).await {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(container = %id, %error, "the ingress does not know that it is not ready; it is told again");
            }
        }
    }
}

/// How a container ended.
struct Ended {
    words: String,
    /// How long it had been up; nothing for one that never was.
    ran: Duration,
}

/// Whether readiness is asked for all the time, because a person said how.
fn is_followed(probe: &Probe) -> bool {
    *probe != Probe::DEFAULT
}

fn period(probe: &Probe) -> Duration {
    Duration::from_millis(probe.period_ms).max(SHORTEST_PERIOD)
}
