//! Registry credentials.

use wire::*;

use crate::{Client, Error};

/// Whether the login is tried at its registry before it is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Wait for the registry. A login that it does not take is not saved; the refusal says why.
    First,
    /// Save at once; the server tries it in the background.
    Later,
}

impl Client {
    /// `GET /docker-registries`, all pages, newest first.
    pub async fn registries(&self) -> Result<Vec<DockerRegistry>, Error> {
        self.all(&["docker-registries"]).await
    }

    /// `POST /docker-registries`.
    pub async fn create_registry(
        &self,
        body: &CreateDockerRegistry,
        verify: Verify,
    ) -> Result<DockerRegistry, Error> {
        self.post(self.verifying(&["docker-registries"], verify), body).await
    }

    /// `GET /docker-registries/{id}`.
    pub async fn registry(&self, id: &str) -> Result<DockerRegistry, Error> {
        self.get(self.url(&["docker-registries", id])).await
    }

    /// `PATCH /docker-registries/{id}`.
    pub async fn update_registry(
        &self,
        id: &str,
        body: &UpdateDockerRegistry,
        verify: Verify,
    ) -> Result<DockerRegistry, Error> {
        self.patch(self.verifying(&["docker-registries", id], verify), body).await
    }

    /// `DELETE /docker-registries/{id}`. Unless forced, refused while applications use it; they are in the refusal.
    pub async fn delete_registry(&self, id: &str, force: bool) -> Result<Message, Error> {
        let mut url = self.url(&["docker-registries", id]);
        if force {
            url.query_pairs_mut().append_pair("force", "true");
        }
        self.delete(url).await
    }

    /// `POST /docker-registries/{id}/verify`: tries the stored login. An extension.
    pub async fn verify_registry(&self, id: &str) -> Result<DockerRegistryVerification, Error> {
        self.post(self.url(&["docker-registries", id, "verify"]), &serde_json::json!({})).await
    }

    fn verifying(&self, segments: &[&str], verify: Verify) -> url::Url {
        let mut url = self.url(segments);
        if verify == Verify::First {
            url.query_pairs_mut().append_pair("verify", "true");
        }
        url
    }
}
