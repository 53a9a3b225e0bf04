//! Looking into a repository without deploying it, and the Git providers.

use model::git::Revision;
use model::{FailureCode, GitCredential};
use wire::{DockerfileOrigin, InspectRepository, RepositoryInspection};

use crate::call::{Answer, Call};
use crate::error::ApiError;
use crate::platform::{self, GitProblem, PlatformError, Repository};
use crate::routes::applications::sources;
use crate::routes::git_credentials;
use crate::rules::{application, source};

/// A repository can have any number of them.
const MOST_BRANCHES: usize = 100;

/// Providers that accounts are connected with. There are none: a repository is reached by its address and a Git
/// credential.
pub async fn providers(_call: Call) -> Result<Answer, ApiError> {
    Answer::ok(&[(); 0])
}

pub async fn inspect(call: Call) -> Result<Answer, ApiError> {
    let input: InspectRepository = call.json()?;
    let url = sources::reachable(&call, &input.repo_url)?;
    let credential = known_credential(&call, input.git_credential_id.as_deref()).await?;
    if let Some(credential) = &credential {
        source::refuse_misfit(credential, &url)?;
    }
    let revision = source::wanted_revision(input.branch.as_deref(), input.commit_sha.as_deref())?;
    let revision = revision.unwrap_or(Revision::Default);
    let settings = source::settings_to_look_with(&input)?;
    let credential = credential.map(|credential| credential.id);
    let asked = async {
        // Each fetches a repository, so a few at a time; the others wait, and their wait counts as the server's.
        let _place = call.state.looks.acquire().await;
        call.state.platform.inspect_repository(call.company(), &url, credential, &revision, &settings).await
    };
    let too_slow = |_| Err(silent(url.host()));
    let result = tokio::time::timeout(call.state.registry_wait * 2, asked).await.unwrap_or_else(too_slow);
    let repository = result.map_err(|error| explain(error, &input.repo_url))?;
    Answer::ok(&show(input.repo_url, repository))
}

/// The credential that was asked for. A repository is never looked at without it.
async fn known_credential(call: &Call, text: Option<&str>) -> Result<Option<GitCredential>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let id = text.parse().map_err(|_| no_such_credential())?;
    git_credentials::pickable(call, id).await?.ok_or_else(no_such_credential).map(Some)
}

fn no_such_credential() -> ApiError {
    ApiError::not_found("Git credential")
}

fn explain(error: PlatformError, repo_url: &str) -> ApiError {
    match error {
        PlatformError::Git(problem) => ApiError::git(&problem, repo_url),
        PlatformError::NotFound(_) => no_such_credential(),
        other => other.into(),
    }
}

fn silent(host: &str) -> PlatformError {
    PlatformError::Git(Box::new(GitProblem {
        code: FailureCode::Timeout,
        message: format!("{host} did not answer in time."),
        hint: Some("Try again, or check that this machine reaches the Git server.".to_owned()),
    }))
}

fn show(repo_url: String, repository: Repository) -> RepositoryInspection {
    let Repository { default_branch, mut branches, commit, dockerfile } = repository;
    branches.truncate(MOST_BRANCHES);
    let origin = match dockerfile.origin {
        platform::DockerfileOrigin::Found => DockerfileOrigin::Found,
        platform::DockerfileOrigin::Made => DockerfileOrigin::Made,
        platform::DockerfileOrigin::Given => DockerfileOrigin::Given,
    };
    RepositoryInspection {
        repo_url,
        default_branch,
        branches,
        commit: application::show_commit(commit),
        dockerfile: wire::Dockerfile { text: dockerfile.text, origin, detail: dockerfile.detail },
    }
}
