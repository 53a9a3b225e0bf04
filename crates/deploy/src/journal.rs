//! What a deployment tells of itself while it goes on: its own log, shown by `darsena logs --deployment`.

use model::{Deployment, Failure, Phase};

use crate::ledger::LogLine;
use crate::platform::Platform;

impl Platform {
    /// A line of the deployment's own log. A log that cannot be written stops no deployment.
    pub(crate) async fn note(&self, deployment: &Deployment, text: &str) {
        self.append_log(deployment, "INFO", text).await;
    }

    pub(crate) async fn note_failure(&self, deployment: &Deployment, failure: &Failure) {
        // What a build printed is in the log already, by its ledger.
        let tail = failure.log_tail.iter().filter(|_| failure.during != Phase::Build);
        for line in tail {
            self.append_log(deployment, "ERROR", &format!("| {line}")).await;
        }
        self.append_log(deployment, "ERROR", &failure.message).await;
        if let Some(hint) = &failure.hint {
            self.append_log(deployment, "ERROR", hint).await;
        }
    }

    /// Lines with their own moments. A deployment that is gone by now has no log.
    pub(crate) async fn append_lines(&self, deployment: &Deployment, lines: Vec<LogLine>) {
        if lines.is_empty() {
            return;
        }
        let company = self.store().company(deployment.company);
        if let Err(error) = company.append_deployment_lines(deployment.id, lines).await {
            tracing::warn!(deployment = %deployment.id, %error, "its log cannot be written");
        }
    }

    async fn append_log(&self, deployment: &Deployment, severity: &str, text: &str) {
        let company = self.store().company(deployment.company);
        if let Err(error) = company.append_deployment_log(deployment.id, severity, text).await {
            tracing::warn!(deployment = %deployment.id, %error, "its log cannot be written");
        }
    }
}
