//! The steps around the moment at which people get the new release: the switch itself, and the end of the old one.

use std::net::SocketAddr;

use engine::Status;
use futures_util::future::join_all;
use model::deployment::Event;
use model::{App, ContainerId, Deployment, DeploymentId, Failure, FailureCode, Phase};
use store::StoreError;
use tokio_util::sync::CancellationToken;

use crate::platform::Platform;
use crate::routes::Exposure;
use crate::steps::{StepResult, store_failure};

impl Platform {
    /// The switch is the transaction; publishing follows it and is repeated until the ingress has it.
    ///
    /// Suspending and removing an application take turns with it, so that none undoes half of another.
    pub(crate) async fn switch(&self, deployment: &Deployment, cancel: &CancellationToken) -> StepResult {
        let phase = Phase::Route;
        let company = self.store().company(deployment.company);
        let release = self.release(deployment, phase).await?;
        let count = usize::from(release.instances);
        if self.running_instances(deployment.id, release.instances).await.len() < count {
            // The machine was restarted after they were checked.
            self.await_health(deployment).await?;
        }
        let _turn = self.turn(deployment.app).await;
        if cancel.is_cancelled() {
            return Err(cancelled_before_the_switch());
        }
        // Everything that can fail comes before the transaction.
        let app = company.app(deployment.app).await.map_err(|error| store_failure(phase, &error))?;
        let exposure = self.exposure(&app).await.map_err(|error| store_failure(phase, &error))?;
        let running = self.running_instances(deployment.id, release.instances).await;
        if running.len() < count {
            return Err(gone_before_the_switch());
        }
        let old = company.switch(deployment.id).await.map_err(|error| store_failure(phase, &error))?;
        failpoint::reach("S14a");

        self.route_until_known(&app.name, deployment.id, exposure, &running).await;
        failpoint::reach("S14");
        self.keep(&app, Some(deployment.id)).await;
        self.note(deployment, "Switched: new requests go to this release").await;
        Ok(Event::Switched { old })
    }

    /// The instances that run now, and where.
    pub(crate) async fn running_instances(
        &self,
        deployment: DeploymentId,
        count: u16,
    ) -> Vec<(ContainerId, SocketAddr)> {
        let look = |instance| async move {
            let id = ContainerId::of(deployment, instance);
            match self.engine().status(&id).await {
                Ok(Status::Running { address }) => Some((id, address)),
                Ok(_) => None,
                Err(error) => {
                    tracing::error!(container = %id, %error, "it is not known whether a container runs");
                    None
                }
            }
        };
        join_all((0..count).map(look)).await.into_iter().flatten().collect()
    }

    /// How the application is shown to the world, by the settings of this moment.
    pub(crate) async fn exposure(&self, app: &App) -> Result<Exposure, StoreError> {
        let process = self.store().company(app.company).web_process(app.id).await?;
        Ok(Exposure::of(&process))
    }

    /// Old requests end, then the old containers do. It cannot fail: every wait has an end, and what could not
    /// be removed is removed by the next start.
    pub(crate) async fn drain(&self, deployment: &Deployment, old: Option<DeploymentId>) -> StepResult {
        self.settle(deployment).await;
        if let Some(old) = old.filter(|old| *old != deployment.id) {
            failpoint::reach("S15");
            let left = self.drain_requests(old).await;
            if left > 0 {
                let limit = self.settings().drain_timeout.as_secs();
                self.note(deployment, &format!("{left} old requests were cut after {limit} s")).await;
            }
            self.retire(old).await;
            failpoint::reach("S17");
            self.note(deployment, "The old release is stopped").await;
        }
        Ok(Event::Drained)
    }

    /// Waits until no request is under way at the containers of a deployment. Gives what is left at the deadline.
    async fn drain_requests(&self, old: DeploymentId) -> u64 {
        let limit = self.settings().drain_timeout;
        let drain = |id: ContainerId| async move {
            match self.ingress().drain(id.as_str(), limit).await {
                Ok(drained) => drained.left,
                Err(error) => {
                    tracing::warn!(container = %id, %error, "its requests could not be waited for");
                    0
                }
            }
        };
        join_all(self.containers_of(old).await.into_iter().map(drain)).await.into_iter().sum()
    }

    /// After a restart in the middle of a switch: the routes may still lead to the old container, which must not
    /// be drained then.
    async fn settle(&self, deployment: &Deployment) {
        let _turn = self.turn(deployment.app).await;
        let app = self.store().company(deployment.company).app(deployment.app).await;
        let Ok(app) = app else { return };
        if app.is_suspended || app.serving != Some(deployment.id) {
            return;
        }
        // From the switch on the keeper alone says which of them are routed.
        if !self.routes().is_of(&app.name, deployment.id).await {
            let release = self.release(deployment, Phase::Route).await;
            if let (Ok(release), Ok(exposure)) = (release, self.exposure(&app).await) {
                let running = self.running_instances(deployment.id, release.instances).await;
                self.route_until_known(&app.name, deployment.id, exposure, &running).await;
            }
        }
        self.keep(&app, Some(deployment.id)).await;
    }
}

fn cancelled_before_the_switch() -> Failure {
    let message = "The deployment was cancelled before it was switched to.";
    Failure::new(Phase::Route, FailureCode::Cancelled, message, None)
}

fn gone_before_the_switch() -> Failure {
    let message = "The new container ended between its last check and the switch.";
    Failure::new(Phase::Route, FailureCode::ExitedEarly, message, Some("Look at its log, and deploy again."))
}
