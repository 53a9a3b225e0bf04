//! From a release to a container: what to ask of the engine, and in which order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use engine::{ContainerSpec, Engine, EngineError, LogQuery};
use model::image::RootFs;
use model::{AppName, ContainerId, DeploymentId, Release};

use crate::{explain, plan};

/// SIGTERM, which a container gets unless its image names another signal.
const DEFAULT_STOP_SIGNAL: i32 = 15;

/// The container of a deployment's release.
pub fn spec(deployment: DeploymentId, app: &AppName, release: &Release, rootfs: RootFs) -> ContainerSpec {
    let mut env = plan::container_env(&release.config.env, &release.env);
    env.push(("DARSENA_APP".to_owned(), app.to_string()));
    env.push(("DARSENA_RELEASE".to_owned(), release.id.to_string()));
    ContainerSpec {
        id: ContainerId::of(deployment),
        company: release.company,
        app: release.app,
        hostname: app.to_string(),
        rootfs,
        args: plan::arguments(&release.config, &release.command),
        env,
        user: release.config.user.clone(),
        cwd: release.config.working_dir.clone(),
        stop_signal: release.config.stop_signal.unwrap_or(DEFAULT_STOP_SIGNAL),
        limits: release.limits,
        port: release.port,
    }
}

/// The last lines of a container, for a failure. A log that cannot be read is no reason to lose the cause.
pub async fn log_tail(engine: &dyn Engine, id: &ContainerId) -> Vec<String> {
    match engine.logs(id, &LogQuery::newest(explain::LOG_TAIL_LINES)).await {
        Ok(lines) => lines.into_iter().map(|line| line.text).collect(),
        Err(error) => {
            tracing::warn!(container = %id, %error, "the log of a failed container cannot be read");
            Vec::new()
        }
    }
}

/// One at a time for each container: work that a cancelled deployment left running must end before its
/// container is removed.
#[derive(Default)]
pub struct ContainerLocks {
    locks: Mutex<HashMap<ContainerId, Arc<tokio::sync::Mutex<()>>>>,
}

impl ContainerLocks {
    /// Runs engine work on a task of its own, so that dropping the caller does not cut it in half.
    pub async fn run<T, F>(&self, id: &ContainerId, work: F) -> Result<T, EngineError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, EngineError>> + Send + 'static,
    {
        let lock = Arc::clone(self.lock_table().entry(id.clone()).or_default());
        let task = tokio::spawn(async move {
            let _guard = lock.lock().await;
            work.await
        });
        match task.await {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Forgets a container that is gone.
    pub fn forget(&self, id: &ContainerId) {
        self.lock_table().remove(id);
    }

    fn lock_table(&self) -> std::sync::MutexGuard<'_, HashMap<ContainerId, Arc<tokio::sync::Mutex<()>>>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
