//! Looking at a repository for a person who has not deployed it yet, and keys to be let in with.

use std::path::{Path, PathBuf};
use std::time::Duration;

use build::Dockerfile;
use build::git::{Branches, KeyPair};
use model::{BuildSettings, Commit, CompanyId, Failure, GitCredentialId, GitUrl, Phase, Revision};

use crate::checkout::git_failure;
use crate::error::DeployError;
use crate::explain;
use crate::platform::Platform;

/// Longest time for one look, its turn included.
const LOOK_LIMIT: Duration = Duration::from_secs(300);

/// A repository as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    pub default_branch: Option<String>,
    pub branches: Vec<String>,
    /// What the revision names.
    pub commit: Commit,
    /// What it would be built with.
    pub dockerfile: Dockerfile,
}

/// A key pair for one Git server.
#[derive(Clone, Debug)]
pub struct DeployKey {
    pub keys: KeyPair,
    /// The server's own keys as they are now, to be pinned.
    pub host_keys: Vec<String>,
}

impl Platform {
    /// Fetches a revision and says what would be built of it. Nothing of the repository runs, and nothing stays.
    pub async fn inspect_repository(
        &self,
        company: CompanyId,
        url: &GitUrl,
        credential: Option<GitCredentialId>,
        revision: &Revision,
        settings: &BuildSettings,
    ) -> Result<Repository, DeployError> {
        let look = async {
            let _turn = self.builds().look().await;
            let folder = Scratch::new(self);
            self.look_at(company, url, credential, revision, settings, &folder.path).await
        };
        match tokio::time::timeout(LOOK_LIMIT, look).await {
            Ok(result) => result.map_err(DeployError::from),
            Err(_) => {
                let failure =
                    explain::timed_out(Phase::Checkout, "Looking at the repository", LOOK_LIMIT.as_secs());
                Err(failure.into())
            }
        }
    }

    async fn look_at(
        &self,
        company: CompanyId,
        url: &GitUrl,
        credential: Option<GitCredentialId>,
        revision: &Revision,
        settings: &BuildSettings,
        folder: &Path,
    ) -> Result<Repository, Failure> {
        let remote = self.remote(company, url, credential).await?;
        let branches = self.git().look(&remote).await.map_err(|error| git_failure(&error))?;
        let commit = self.check_out(&remote, revision, settings, folder).await?;
        self.note_git_use(company, credential).await;
        let dockerfile = self.builder().dockerfile(folder, settings).await?;
        let Branches { default, names } = branches;
        Ok(Repository { default_branch: default, branches: names, commit, dockerfile })
    }

    /// A new key pair, and the keys by which the server is known from now on.
    pub async fn make_deploy_key(&self, host: &str, comment: &str) -> Result<DeployKey, DeployError> {
        let host_keys = self.git().host_keys(host).await.map_err(|error| git_failure(&error))?;
        let keys = self.git().make_key(comment).await.map_err(|error| git_failure(&error))?;
        Ok(DeployKey { keys, host_keys })
    }
}

/// A folder beside those of deployments that goes with the look, also when nobody waits for its end any more.
struct Scratch {
    platform: Platform,
    path: PathBuf,
}

impl Scratch {
    fn new(platform: &Platform) -> Self {
        Self { platform: platform.clone(), path: platform.builds().scratch() }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let (platform, path) = (self.platform.clone(), std::mem::take(&mut self.path));
        tokio::spawn(async move {
            if let Err(error) = platform.builds().remove_folder(path).await {
                tracing::error!(%error, "the files of a repository that was looked at could not be removed");
            }
        });
    }
}
