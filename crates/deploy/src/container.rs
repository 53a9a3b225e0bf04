//! From a release to a container: what to ask of the engine, and in which order.

use engine::{ContainerSpec, Engine, LogQuery};
use model::image::RootFs;
use model::{AppName, ContainerId, Release};

use crate::{explain, plan};

/// SIGTERM, which a container gets unless its image names another signal.
const DEFAULT_STOP_SIGNAL: i32 = 15;

/// The container of an instance of a release.
pub fn spec(id: ContainerId, app: &AppName, release: &Release, rootfs: RootFs) -> ContainerSpec {
    let mut env = plan::container_env(&release.config.env, &release.env);
    env.push(("DARSENA_APP".to_owned(), app.to_string()));
    env.push(("DARSENA_RELEASE".to_owned(), release.id.to_string()));
    env.push(("DARSENA_INSTANCE".to_owned(), people_count(&id).to_string()));
    ContainerSpec {
        id,
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

/// The number of an instance as people see it, from 1.
pub fn people_count(id: &ContainerId) -> u16 {
    id.instance().saturating_add(1)
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
