//! Picking up after a restart: what runs is adopted, what was under way is carried on, the rest is removed.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use model::deployment::State;
use model::{Deployment, DeploymentId};
use store::StoreError;

use crate::platform::Platform;
use crate::routes::Adopted;

impl Platform {
    /// Adopts, carries on, cleans up. Safe to call at every start.
    ///
    /// 1. The routes are set right once: containers that run are routed, every other application is closed.
    /// 2. Every application that serves gets its keeper back, which leaves a running container alone, or starts
    ///    it again from local layers.
    /// 3. Every deployment that was under way goes on from its saved state.
    /// 4. Containers and builds of neither are removed, in the background.
    pub async fn recover(&self) -> Result<(), StoreError> {
        let serving = self.store().instance().serving().await?;
        let unfinished = self.store().instance().unfinished().await?;
        tracing::info!(serving = serving.len(), under_way = unfinished.len(), "picking up");

        let mut adopted = Vec::new();
        let mut wanted: BTreeSet<DeploymentId> = unfinished.iter().flat_map(needed_by).collect();
        let looks = serving.iter().map(|(_, deployment, release)| {
            // All at once: one that is slow to answer must not delay the others.
            self.running_instances(deployment.id, release.instances)
        });
        for ((app, deployment, _), running) in serving.iter().zip(join_all(looks).await) {
            adopted.push(Adopted {
                name: app.name.clone(),
                deployment: deployment.id,
                is_suspended: app.is_suspended,
                exposure: self.exposure(app).await?,
                running,
            });
            if !app.is_suspended {
                wanted.insert(deployment.id);
            }
        }
        if let Err(error) = self.routes().adopt(adopted).await {
            tracing::error!(%error, "the ingress did not take the routes; each application is routed anew");
        }
        // Listed before anything new is made, so that no new container is taken for a stray one.
        let strays = self.stray_deployments(&wanted).await;
        let stray_builds = self.stray_builds(&unfinished).await;
        for (app, deployment, _) in serving.iter().filter(|(app, ..)| !app.is_suspended) {
            self.keep(app, Some(deployment.id)).await;
        }
        for deployment in &unfinished {
            self.wake_driver(deployment.company, deployment.app);
        }
        let platform = self.clone();
        tokio::spawn(async move {
            for stray in strays {
                tracing::info!(deployment = %stray, "removing containers of no release");
                platform.retire(stray).await;
            }
            for stray in stray_builds {
                platform.remove_stray_build(&stray).await;
            }
            platform.forget_stray_builds().await;
            platform.sweep_images();
        });
        Ok(())
    }
}

/// Whose containers a deployment under way still needs: its own, and while it drains also the old one's.
fn needed_by(deployment: &Deployment) -> impl Iterator<Item = DeploymentId> {
    let old = match deployment.state {
        State::Draining { old } => old,
        _ => None,
    };
    std::iter::once(deployment.id).chain(old)
}
