//! Removing what no longer serves: containers, and images that no kept release needs.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use model::{ContainerId, DeploymentId};

use crate::platform::Platform;

/// How often an engine that could not remove everything is asked again, and the pause between.
const REMOVE_TRIES: u32 = 5;
const REMOVE_AGAIN: Duration = Duration::from_millis(200);

impl Platform {
    /// Stops and removes every container of a deployment.
    pub(crate) async fn retire(&self, deployment: DeploymentId) {
        let containers = self.containers_of(deployment).await;
        join_all(containers.into_iter().map(|id| self.retire_container(id))).await;
    }

    /// The containers that a deployment has at the engine, also those that it has half.
    pub(crate) async fn containers_of(&self, deployment: DeploymentId) -> Vec<ContainerId> {
        let mut known = self.known_containers().await;
        known.retain(|id| id.deployment() == deployment);
        known
    }

    /// Stops and removes a container. What stays after some tries is logged, and removed by the next start of the
    /// platform: no deployment waits for it.
    pub(crate) async fn retire_container(&self, id: ContainerId) {
        let grace = self.settings().stop_grace;
        for attempt in 1..=REMOVE_TRIES {
            if let Err(error) = self.engine().stop(&id, grace).await {
                // Removing ends it as well, only less politely.
                tracing::warn!(container = %id, %error, "a container did not stop when asked");
            }
            failpoint::reach("S16");
            match self.engine().remove(&id).await {
                Ok(()) => return,
                Err(error) if attempt == REMOVE_TRIES => {
                    tracing::error!(container = %id, %error, "a container could not be removed");
                }
                Err(_) => tokio::time::sleep(REMOVE_AGAIN).await,
            }
        }
    }

    /// Deployments that have containers and are none of `wanted`.
    pub(crate) async fn stray_deployments(&self, wanted: &BTreeSet<DeploymentId>) -> BTreeSet<DeploymentId> {
        let known = self.known_containers().await;
        known.iter().map(ContainerId::deployment).filter(|id| !wanted.contains(id)).collect()
    }

    async fn known_containers(&self) -> Vec<ContainerId> {
        match self.engine().list().await {
            Ok(known) => known,
            Err(error) => {
                tracing::error!(%error, "containers cannot be listed");
                Vec::new()
            }
        }
    }

    /// Removes layers that no kept release needs, in the background; when a pull runs, the end of the next
    /// deployment does it.
    pub(crate) fn sweep_images(&self) {
        let platform = self.clone();
        tokio::spawn(async move {
            let Some(_alone) = platform.images_alone() else { return };
            let keep = match platform.store().instance().kept_manifests().await {
                Ok(keep) => keep,
                Err(error) => {
                    return tracing::warn!(%error, "the images to keep are not known; none is removed");
                }
            };
            let images = platform.images().clone();
            match tokio::task::spawn_blocking(move || images.sweep(&keep)).await {
                Ok(Ok(swept)) if swept.layers > 0 => {
                    tracing::info!(layers = swept.layers, "removed unused layers")
                }
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "unused layers could not be removed"),
                Err(error) => tracing::error!(%error, "the sweep of images ended badly"),
            }
        });
    }
}
