//! Picking up after a restart: what runs is adopted, what was under way is carried on, the rest is removed.

use std::collections::BTreeSet;

use model::ContainerId;
use store::StoreError;

use crate::platform::Platform;

impl Platform {
    /// Adopts, carries on, cleans up. Safe to call at every start.
    ///
    /// 1. Every application that serves gets its keeper back, which finds the container running and routes it,
    ///    or starts it again from local layers.
    /// 2. Every deployment that was under way goes on from its saved state.
    /// 3. Containers of neither are removed.
    pub async fn recover(&self) -> Result<(), StoreError> {
        let serving = self.store().instance().serving().await?;
        let unfinished = self.store().instance().unfinished().await?;

        if let Err(error) = self.routes().adopt(serving.iter().map(|(app, ..)| &app.name)).await {
            tracing::error!(%error, "the routes in force are not known; each application is routed anew");
        }
        let mut wanted = BTreeSet::new();
        for (app, deployment, _) in &serving {
            if app.is_suspended {
                if let Err(error) = self.routes().suspend(&app.name).await {
                    tracing::warn!(app = %app.name, %error, "the ingress does not know that it is suspended");
                }
                continue;
            }
            wanted.insert(ContainerId::of(deployment.id));
            self.keep(app, Some(deployment.id)).await;
        }
        for deployment in &unfinished {
            wanted.insert(ContainerId::of(deployment.id));
        }
        tracing::info!(serving = serving.len(), under_way = unfinished.len(), "picking up");
        self.remove_stray_containers(&wanted).await;
        for deployment in &unfinished {
            self.wake_driver(deployment.company, deployment.app);
        }
        self.sweep_images();
        Ok(())
    }
}
