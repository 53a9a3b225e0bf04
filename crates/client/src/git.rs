//! Git sources: logins for Git servers, and a look into a repository. All of it is an extension.

use std::time::Duration;

use wire::*;

use crate::{Client, Error};

/// A look into a repository fetches it, which may take longer than other operations.
const LOOK: Duration = Duration::from_secs(300);

impl Client {
    /// `GET /git-credentials`, all pages, newest first.
    pub async fn git_credentials(&self) -> Result<Vec<GitCredential>, Error> {
        self.all(&["git-credentials"]).await
    }

    /// `POST /git-credentials`. For a key the server makes the pair and asks the host for its own keys.
    pub async fn create_git_credential(&self, body: &CreateGitCredential) -> Result<GitCredential, Error> {
        self.post(self.url(&["git-credentials"]), body).await
    }

    /// `GET /git-credentials/{id}`.
    pub async fn git_credential(&self, id: &str) -> Result<GitCredential, Error> {
        self.get(self.url(&["git-credentials", id])).await
    }

    /// `PATCH /git-credentials/{id}`.
    pub async fn update_git_credential(
        &self,
        id: &str,
        body: &UpdateGitCredential,
    ) -> Result<GitCredential, Error> {
        self.patch(self.url(&["git-credentials", id]), body).await
    }

    /// `DELETE /git-credentials/{id}`. Unless forced, refused while applications use it; they are in the refusal.
    pub async fn delete_git_credential(&self, id: &str, force: bool) -> Result<Message, Error> {
        let mut url = self.url(&["git-credentials", id]);
        if force {
            url.query_pairs_mut().append_pair("force", "true");
        }
        self.delete(url).await
    }

    /// `POST /git/inspect`: branches, commit and Dockerfile. Nothing is built.
    pub async fn inspect_repository(&self, body: &InspectRepository) -> Result<RepositoryInspection, Error> {
        self.post_within(self.url(&["git", "inspect"]), body, LOOK).await
    }
}
