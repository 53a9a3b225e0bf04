//! Deployments.

use wire::*;

use crate::{Client, Error};

impl Client {
    /// `GET /applications/{id}/deployments`: the newest `limit` (1 to 100), newest first.
    pub async fn deployments(&self, application: &str, limit: u64) -> Result<Page<Deployment>, Error> {
        self.page(&["applications", application, "deployments"], limit, 0).await
    }

    /// `POST /applications/{id}/deployments`. Answers at once; the deployment goes on in the background. It starts one deployment
    /// even when the connection breaks and it has to be sent again.
    pub async fn trigger_deployment(
        &self,
        application: &str,
        body: &TriggerDeployment,
    ) -> Result<Deployment, Error> {
        self.post_once(self.url(&["applications", application, "deployments"]), body).await
    }

    /// `POST /applications/{id}/deployments/rollback`; once, as [`Client::trigger_deployment`].
    pub async fn rollback_deployment(
        &self,
        application: &str,
        body: &RollbackDeployment,
    ) -> Result<Deployment, Error> {
        self.post_once(self.url(&["applications", application, "deployments", "rollback"]), body).await
    }

    /// `POST /applications/{id}/promote`; once, as [`Client::trigger_deployment`]. Gives the deployment of the target.
    pub async fn promote_application(
        &self,
        application: &str,
        body: &PromoteApplication,
    ) -> Result<Deployment, Error> {
        self.post_once(self.url(&["applications", application, "promote"]), body).await
    }

    /// `GET /applications/{id}/deployments/{deployment_id}`.
    pub async fn deployment(&self, application: &str, id: &str) -> Result<Deployment, Error> {
        self.get(self.url(&["applications", application, "deployments", id])).await
    }

    /// `POST /applications/{id}/deployments/{deployment_id}/cancel`.
    pub async fn cancel_deployment(&self, application: &str, id: &str) -> Result<Message, Error> {
        let url = self.url(&["applications", application, "deployments", id, "cancel"]);
        self.post(url, &serde_json::json!({})).await
    }
}
