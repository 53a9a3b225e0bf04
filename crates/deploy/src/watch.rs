//! Keeps the ingress process up and its table right, and the machine's network as containers need it.

use std::net::SocketAddr;
use std::time::Duration;

use ingress::IngressError;
use model::{AppName, ContainerId, DeploymentId};

use crate::platform::Platform;
use crate::routes::Exposure;

/// How often the ingress is asked whether it is there: so long people wait at most, should it have died.
const WATCH_EVERY: Duration = Duration::from_millis(200);
/// How often firewall and forwarding are put back, should somebody have flushed them.
const MEND_EVERY: Duration = Duration::from_secs(60);
/// Pause before a table that did not arrive is sent again.
const PUBLISH_AGAIN: Duration = Duration::from_millis(200);

impl Platform {
    /// Puts the containers' network back in order, now and from time to time. Ends between two rounds, when
    /// everything is let go of.
    pub(crate) async fn watch_network(self) {
        loop {
            if let Err(error) = self.engine().mend().await {
                tracing::error!(%error, "the containers' network could not be put in order");
            }
            if !self.goes_on_after(MEND_EVERY).await {
                return;
            }
        }
    }

    /// Starts the ingress again when it is gone. Ends between two rounds, when everything is let go of: cut short in
    /// the middle of one, it would leave a process that nobody can reach yet.
    pub(crate) async fn watch_ingress(self) {
        while self.goes_on_after(WATCH_EVERY).await {
            match self.ingress().ensure().await {
                Ok(false) => {}
                Ok(true) => {
                    tracing::warn!("the ingress was gone and is started again");
                    while let Err(error) = self.routes().publish().await {
                        tracing::error!(%error, "the new ingress did not take the routes; trying again");
                        tokio::time::sleep(PUBLISH_AGAIN).await;
                    }
                }
                Err(error) => tracing::error!(%error, "the ingress does not run"),
            }
        }
    }

    /// Waits for the next round. `false`: everything is let go of, and there is none.
    async fn goes_on_after(&self, pause: Duration) -> bool {
        tokio::time::timeout(pause, self.ending().cancelled()).await.is_err()
    }

    /// Routes an application's requests to the containers of a deployment, or with none says that it starts, and
    /// insists: after the switch there is no way back.
    pub(crate) async fn route_until_known(
        &self,
        app: &AppName,
        deployment: DeploymentId,
        exposure: Exposure,
        instances: &[(ContainerId, SocketAddr)],
    ) {
        until_known(app, || self.routes().serve(app, deployment, exposure, instances)).await;
    }

    /// One container more, and insists.
    pub(crate) async fn join_until_known(&self, app: &AppName, container: &ContainerId, address: SocketAddr) {
        until_known(app, || self.routes().join(app, container, address)).await;
    }

    /// One container less, and insists: its address may be another application's in a moment.
    pub(crate) async fn leave_until_known(&self, app: &AppName, container: &ContainerId) {
        until_known(app, || self.routes().leave(app, container)).await;
    }
}

/// Repeats a change of the routes until the ingress has it.
pub(crate) async fn until_known<F: Future<Output = Result<(), IngressError>>>(
    app: &AppName,
    change: impl Fn() -> F,
) {
    while let Err(error) = change().await {
        tracing::error!(%app, %error, "the ingress did not take a change of the routes; trying again");
        tokio::time::sleep(PUBLISH_AGAIN).await;
    }
}
