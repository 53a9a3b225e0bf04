//! Applications and their processes.

use wire::*;

use crate::{Client, Error};

impl Client {
    /// `GET /applications`, all pages, newest first.
    pub async fn applications(&self) -> Result<Vec<ApplicationListItem>, Error> {
        self.all(&["applications"]).await
    }

    /// `POST /applications`.
    pub async fn create_application(&self, body: &CreateApplication) -> Result<Application, Error> {
        self.post(self.url(&["applications"]), body).await
    }

    /// `GET /applications/{id}`.
    pub async fn application(&self, id: &str) -> Result<Application, Error> {
        self.get(self.url(&["applications", id])).await
    }

    /// `PATCH /applications/{id}`.
    pub async fn update_application(&self, id: &str, body: &UpdateApplication) -> Result<Application, Error> {
        self.patch(self.url(&["applications", id]), body).await
    }

    /// `DELETE /applications/{id}`.
    pub async fn delete_application(&self, id: &str) -> Result<Message, Error> {
        self.delete(self.url(&["applications", id])).await
    }

    /// `POST /applications/{id}/suspend`.
    pub async fn suspend_application(&self, id: &str) -> Result<Message, Error> {
        self.post(self.url(&["applications", id, "suspend"]), &serde_json::json!({})).await
    }

    /// `POST /applications/{id}/activate`.
    pub async fn activate_application(&self, id: &str) -> Result<Message, Error> {
        self.post(self.url(&["applications", id, "activate"]), &serde_json::json!({})).await
    }

    /// `GET /applications/{id}/processes`, all pages.
    pub async fn processes(&self, application: &str) -> Result<Vec<Process>, Error> {
        self.all(&["applications", application, "processes"]).await
    }

    /// `PATCH /applications/{id}/processes/{process_id}`.
    pub async fn update_process(
        &self,
        application: &str,
        id: &str,
        body: &UpdateProcess,
    ) -> Result<Process, Error> {
        self.patch(self.url(&["applications", application, "processes", id]), body).await
    }
}
