//! Environment variables.

use wire::*;

use crate::{Client, Error};

impl Client {
    /// `GET /applications/{id}/env-vars`, all pages, oldest first.
    pub async fn env_vars(&self, application: &str) -> Result<Vec<EnvVar>, Error> {
        self.all(&["applications", application, "env-vars"]).await
    }

    /// `POST /applications/{id}/env-vars`.
    pub async fn create_env_var(&self, application: &str, body: &CreateEnvVar) -> Result<EnvVar, Error> {
        self.post(self.url(&["applications", application, "env-vars"]), body).await
    }

    /// `PUT /applications/{id}/env-vars/{env_var_id}`.
    pub async fn update_env_var(
        &self,
        application: &str,
        id: &str,
        body: &UpdateEnvVar,
    ) -> Result<EnvVar, Error> {
        self.put(self.url(&["applications", application, "env-vars", id]), body).await
    }

    /// `DELETE /applications/{id}/env-vars/{env_var_id}`.
    pub async fn delete_env_var(&self, application: &str, id: &str) -> Result<Message, Error> {
        self.delete(self.url(&["applications", application, "env-vars", id])).await
    }
}
