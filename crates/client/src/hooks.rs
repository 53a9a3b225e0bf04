//! Addresses that start a deployment without an API key.

use wire::*;

use crate::{Client, Error};

impl Client {
    /// `GET /applications/{id}/deployment-hook`; `None` while it is off.
    pub async fn deployment_hook(&self, application: &str) -> Result<Option<DeploymentHook>, Error> {
        unless_off(self.get(self.url(&["applications", application, "deployment-hook"])).await)
    }

    /// `POST /applications/{id}/deployment-hook`: switches it on; one that is on stays as it is.
    pub async fn enable_deployment_hook(&self, application: &str) -> Result<DeploymentHook, Error> {
        self.post(self.url(&["applications", application, "deployment-hook"]), &serde_json::json!({})).await
    }

    /// `PUT /applications/{id}/deployment-hook`: another address; the old one stops at once.
    pub async fn regenerate_deployment_hook(&self, application: &str) -> Result<DeploymentHook, Error> {
        self.put(self.url(&["applications", application, "deployment-hook"]), &serde_json::json!({})).await
    }

    /// `DELETE /applications/{id}/deployment-hook`.
    pub async fn disable_deployment_hook(&self, application: &str) -> Result<(), Error> {
        self.delete_silently(self.url(&["applications", application, "deployment-hook"])).await
    }

    /// `GET /applications/{id}/push-webhook`; `None` while it is off. An extension, as are the next three.
    pub async fn push_webhook(&self, application: &str) -> Result<Option<PushWebhook>, Error> {
        unless_off(self.get(self.url(&["applications", application, "push-webhook"])).await)
    }

    /// `POST /applications/{id}/push-webhook`: switches it on. The secret comes only when it was off.
    pub async fn enable_push_webhook(&self, application: &str) -> Result<PushWebhook, Error> {
        self.post(self.url(&["applications", application, "push-webhook"]), &serde_json::json!({})).await
    }

    /// `PUT /applications/{id}/push-webhook`: another secret; the old one stops at once.
    pub async fn regenerate_push_webhook(&self, application: &str) -> Result<PushWebhook, Error> {
        self.put(self.url(&["applications", application, "push-webhook"]), &serde_json::json!({})).await
    }

    /// `DELETE /applications/{id}/push-webhook`.
    pub async fn disable_push_webhook(&self, application: &str) -> Result<(), Error> {
        self.delete_silently(self.url(&["applications", application, "push-webhook"])).await
    }
}

/// A hook that is off is answered like one that is not there.
fn unless_off<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(hook) => Ok(Some(hook)),
        Err(error) if error.refusal().is_some_and(|refusal| refusal.status == 404) => Ok(None),
        Err(error) => Err(error),
    }
}
