//! What builds leave behind when a process is killed, and what is kept for an application that goes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use model::deployment::State;
use model::{AppId, Deployment, DeploymentId};

use crate::platform::Platform;

impl Platform {
    /// Ends what an earlier process left of the builds under way, so that each begins anew in peace, and finds the
    /// files of those that are over. Nothing else may build yet.
    pub(crate) async fn stray_builds(&self, unfinished: &[Deployment]) -> Vec<PathBuf> {
        let builds = unfinished.iter().filter(|deployment| has_a_build(&deployment.state));
        let wanted: BTreeSet<_> = builds.map(|deployment| deployment.id).collect();
        for build in &wanted {
            self.end_guest(*build).await;
        }
        match self.builds().folders().await {
            Ok(mut folders) => {
                folders.retain(|folder| owner(folder).is_none_or(|id| !wanted.contains(&id)));
                folders
            }
            Err(error) => {
                tracing::error!(%error, "the files of builds that are over cannot be listed");
                Vec::new()
            }
        }
    }

    /// Removes what a build that is over left, by the folder with its files.
    pub(crate) async fn remove_stray_build(&self, folder: &Path) {
        tracing::info!(folder = %folder.display(), "removing files of a build that is over");
        match owner(folder) {
            Some(build) => {
                self.end_guest(build).await;
                self.clear_build(build).await;
            }
            None => {
                if let Err(error) = self.builds().remove_folder(folder.to_owned()).await {
                    tracing::error!(folder = %folder.display(), %error, "files could not be removed");
                }
            }
        }
    }

    /// Removes what is kept for the builds of an application that is gone, in the background.
    pub(crate) fn forget_builds(&self, app: AppId) {
        let platform = self.clone();
        tokio::spawn(async move {
            if let Err(error) = platform.builder().forget(app).await {
                tracing::error!(%app, %error, "what was kept for its builds could not be removed");
            }
        });
    }
}

impl Platform {
    /// Removes what is kept for the builds of applications that are gone, where a kill came in between.
    pub(crate) async fn forget_stray_builds(&self) {
        let kept = match self.builder().kept().await {
            Ok(kept) => kept,
            Err(error) => return tracing::error!(%error, "what is kept for builds cannot be listed"),
        };
        // Read after that: one that is not among them by now is gone, and was not yet to come.
        match self.store().instance().app_ids().await {
            Ok(apps) => {
                for app in kept.into_iter().filter(|app| !apps.contains(app)) {
                    self.forget_builds(app);
                }
            }
            Err(error) => tracing::error!(%error, "the applications cannot be listed"),
        }
    }
}

/// Whether a deployment may have something of a build, and takes it away by itself.
fn has_a_build(state: &State) -> bool {
    matches!(state, State::Fetching | State::Building | State::Undoing { .. })
}

/// Whose files are in a folder; `None`: nobody's who is known.
fn owner(folder: &Path) -> Option<DeploymentId> {
    folder.file_name()?.to_str()?.parse().ok()
}
