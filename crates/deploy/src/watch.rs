//! Keeps the ingress process up and its table right, and the machine's network as containers need it.

use std::net::SocketAddr;
use std::time::Duration;

use model::{AppName, DeploymentId};

use crate::platform::Platform;

/// How often the ingress is asked whether it is there.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// How often firewall and forwarding are put back, should somebody have flushed them.
const MEND_EVERY: Duration = Duration::from_secs(60);
/// Pause before a table that did not arrive is sent again.
const PUBLISH_AGAIN: Duration = Duration::from_millis(200);

impl Platform {
    /// Puts the containers' network back in order, now and from time to time. Ends only by being aborted.
    pub(crate) async fn watch_network(self) {
        loop {
            if let Err(error) = self.engine().mend().await {
                tracing::error!(%error, "the containers' network could not be put in order");
            }
            tokio::time::sleep(MEND_EVERY).await;
        }
    }

    /// Starts the ingress again when it is gone. Ends only by being aborted.
    pub(crate) async fn watch_ingress(self) {
        loop {
            tokio::time::sleep(WATCH_EVERY).await;
            match self.ingress().ensure().await {
                Ok(false) => {}
                Ok(true) => {
                    tracing::warn!("the ingress was gone and is started again");
                    if let Err(error) = self.routes().publish().await {
                        tracing::error!(%error, "the new ingress did not take the routes");
                    }
                }
                Err(error) => tracing::error!(%error, "the ingress does not run"),
            }
        }
    }

    /// Closes an application's route while its container is made, and insists: an open one may lead elsewhere.
    pub(crate) async fn close_until_known(&self, app: &AppName, deployment: DeploymentId) {
        while let Err(error) = self.routes().starting(app, deployment).await {
            tracing::error!(%app, %error, "the ingress does not know that the application starts; trying again");
            tokio::time::sleep(PUBLISH_AGAIN).await;
        }
    }

    /// Routes an application's requests to a container, and insists: after the switch there is no way back.
    pub(crate) async fn publish_until_known(
        &self,
        app: &AppName,
        deployment: DeploymentId,
        address: SocketAddr,
    ) {
        while let Err(error) = self.routes().serve(app, deployment, address).await {
            tracing::error!(%app, %error, "the ingress did not take the route; trying again");
            tokio::time::sleep(PUBLISH_AGAIN).await;
        }
    }
}
