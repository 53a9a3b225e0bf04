//! Where an application comes from: what a request makes of a Git source, and what is read from its address.

use model::git::{BuildSettings, GitSource, GitUrl, Recipe, Revision};
use model::{CredentialId, FailureCode, GitCredential, GitCredentialId, Kept};
use wire::{ApplicationSource, BuildType, CreateApplication, GitType, UpdateApplication};

use crate::check;
use crate::error::ApiError;
use crate::platform::GitProblem;
use crate::rules::application::get;
use crate::rules::push::filter;

mod path;

/// Longest Dockerfile that is given as a text, in characters.
const LONGEST_DOCKERFILE: usize = 65_536;

/// What an application is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Image,
    Git,
}

/// The kind that a request asks for, or why it cannot be had.
pub fn kind(source: ApplicationSource) -> Result<Kind, ApiError> {
    match source {
        ApplicationSource::DockerImage => Ok(Kind::Image),
        ApplicationSource::PublicGit | ApplicationSource::PrivateGit => Ok(Kind::Git),
        ApplicationSource::App => {
            Err(ApiError::invalid("source", "only the platform makes such applications; use another source"))
        }
    }
}

/// The logins of a Git source, looked up already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logins {
    pub repository: Option<GitCredentialId>,
    pub base_images: Option<CredentialId>,
}

/// The Git source after a change. `known` is the one before; none when there was no repository. What is kept beside
/// the source has the change made already.
pub fn git(
    known: Option<&GitSource>,
    kept: &Kept,
    input: &UpdateApplication,
    logins: Logins,
) -> Result<GitSource, ApiError> {
    let url = match (&input.repo_url, known) {
        (Some(url), _) => {
            address(url)?;
            url.clone()
        }
        (None, Some(known)) => known.url.clone(),
        (None, None) => return Err(ApiError::invalid("repo_url", "the address of a repository is needed")),
    };
    let branch: Option<String> = get(kept, "default_branch");
    if let Some(name) = &branch {
        revision("default_branch", Revision::Named(name.clone()))?;
    }
    filter::check(kept)?;
    Ok(GitSource { url, branch, credential: logins.repository, build: build(known, kept, input, logins)? })
}

fn build(
    known: Option<&GitSource>,
    kept: &Kept,
    input: &UpdateApplication,
    logins: Logins,
) -> Result<BuildSettings, ApiError> {
    let known = known.map(|git| git.build.clone()).unwrap_or_default();
    let given = match (&input.dockerfile_text, known.recipe) {
        (Some(text), _) => text.clone(),
        (None, Recipe::Given(text)) => Some(text),
        (None, Recipe::Found | Recipe::Made) => None,
    };
    let settings = BuildSettings {
        recipe: recipe(get(kept, "build_type"), given)?,
        is_cached: get(kept, "build_cache_enabled").unwrap_or(true),
        with_submodules: input.submodules_enabled.unwrap_or(known.with_submodules),
        with_lfs: input.lfs_enabled.unwrap_or(known.with_lfs),
        base_credential: logins.base_images,
        ..BuildSettings::default()
    };
    let text = |field| get::<String>(kept, field);
    placed(settings, text("build_path"), text("dockerfile_path"), text("docker_context"))
}

/// Settings with the paths that are given.
fn placed(
    mut settings: BuildSettings,
    folder: Option<String>,
    dockerfile: Option<String>,
    context: Option<String>,
) -> Result<BuildSettings, ApiError> {
    if let Some(text) = folder {
        settings.path = path::folder("build_path", &text)?;
    }
    if let Some(text) = dockerfile {
        settings.dockerfile = path::file("dockerfile_path", &text)?;
    }
    if let Some(text) = context {
        settings.context = path::context("docker_context", &settings.path, &text)?;
    }
    Ok(settings)
}

/// A text that is given wins over what the build type says. Darsena has neither buildpacks nor Nixpacks: what they would
/// find out, it writes into a Dockerfile.
pub fn recipe(build_type: Option<BuildType>, given: Option<String>) -> Result<Recipe, ApiError> {
    if let Some(text) = given {
        check::length("dockerfile_text", &text, 1, LONGEST_DOCKERFILE)?;
        check::no_nul("dockerfile_text", &text)?;
        return Ok(Recipe::Given(text));
    }
    Ok(match build_type {
        None | Some(BuildType::Dockerfile) => Recipe::Found,
        Some(BuildType::Pack | BuildType::Nixpacks | BuildType::Made) => Recipe::Made,
    })
}

/// Build settings of a repository that is only looked at; what is left out is as in a new application.
pub fn settings_to_look_with(input: &wire::InspectRepository) -> Result<BuildSettings, ApiError> {
    let settings = BuildSettings { recipe: recipe(input.build_type, None)?, ..BuildSettings::default() };
    let wire::InspectRepository { build_path, dockerfile_path, docker_context, .. } = input;
    placed(settings, build_path.clone(), dockerfile_path.clone(), docker_context.clone())
}

/// The settings of a new application, as a change of one that has none.
pub fn as_change(input: &CreateApplication) -> UpdateApplication {
    UpdateApplication {
        source: Some(input.source),
        git_type: input.git_type,
        repo_url: input.repo_url.clone(),
        default_branch: input.default_branch.clone(),
        build_type: input.build_type,
        build_path: input.build_path.clone(),
        build_cache_enabled: input.build_cache_enabled,
        dockerfile_path: input.dockerfile_path.clone(),
        docker_context: input.docker_context.clone(),
        dockerfile_text: input.dockerfile_text.clone().map(Some),
        submodules_enabled: input.submodules_enabled,
        lfs_enabled: input.lfs_enabled,
        ..UpdateApplication::default()
    }
}

/// The address of a repository. The refusal does not show it: there may be a password in it.
pub fn address(text: &str) -> Result<GitUrl, ApiError> {
    GitUrl::parse(text).map_err(|error| {
        refused(
            FailureCode::GitUrlInvalid,
            "The address of the repository cannot be used.",
            format!("{error}."),
        )
    })
}

/// Refuses an address that is not encrypted.
pub fn refuse_plain(url: &GitUrl) -> ApiError {
    let hint = format!(
        "Use https. For a server in your own network the administrator can name it: darsena serve --insecure-git {}.",
        url.host()
    );
    let message =
        format!("{} would be fetched over plain http, where anybody on the way can change it.", url.host());
    refused(FailureCode::GitUrlInvalid, &message, hint)
}

/// Refuses a credential that would not be sent to this server.
pub fn refuse_misfit(credential: &GitCredential, url: &GitUrl) -> Result<(), ApiError> {
    if credential.fits(url) {
        return Ok(());
    }
    let scheme = match credential.login {
        model::GitLogin::Token { .. } => "https",
        model::GitLogin::DeployKey { .. } => "ssh",
    };
    let message = format!(
        "The Git credential {:?} is for {scheme}://{}, the repository is at {url}.",
        credential.name, credential.host
    );
    let hint =
        "Pick a credential for this server, or none, or write the address for this credential.".to_owned();
    Err(refused(FailureCode::GitCredentialMismatch, &message, hint))
}

fn refused(code: FailureCode, message: &str, hint: String) -> ApiError {
    let problem = GitProblem { code, message: message.to_owned(), hint: Some(hint) };
    crate::platform::PlatformError::Git(Box::new(problem)).into()
}

/// A revision whose names can be asked of a server.
pub fn revision(field: &str, revision: Revision) -> Result<Revision, ApiError> {
    revision.check().map_err(|error| ApiError::invalid(field, error))?;
    Ok(revision)
}

/// The revision that a branch and a commit id stand for; neither: `None`.
pub fn wanted_revision(branch: Option<&str>, commit: Option<&str>) -> Result<Option<Revision>, ApiError> {
    Ok(match (branch, commit) {
        (None, None) => None,
        (Some(name), None) => Some(revision("branch", Revision::Named(name.to_owned()))?),
        (branch, Some(id)) => {
            if let Some(name) = branch {
                revision("branch", Revision::Named(name.to_owned()))?;
            }
            let id = id.to_ascii_lowercase();
            Some(revision("commit_sha", Revision::Commit { id, branch: branch.map(str::to_owned) })?)
        }
    })
}

/// The provider that a host belongs to, as far as its name tells.
pub fn provider(url: &str) -> Option<GitType> {
    let url = GitUrl::parse(url).ok()?;
    let name = url.host().split(':').next()?.to_owned();
    let has = |word: &str| name.split('.').any(|label| label == word);
    match () {
        () if has("github") => Some(GitType::Github),
        () if has("gitlab") => Some(GitType::Gitlab),
        () if has("bitbucket") => Some(GitType::Bitbucket),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_read_from_the_host() {
        for (url, expected) in [
            ("https://github.com/acme/shop", Some(GitType::Github)),
            ("git@gitlab.example.com:acme/shop.git", Some(GitType::Gitlab)),
            ("ssh://git@bitbucket.org:2222/acme/shop", Some(GitType::Bitbucket)),
            ("https://git.example.com/github/shop", None),
            ("https://notgithub.com/acme/shop", None),
        ] {
            assert_eq!(provider(url), expected, "{url}");
        }
    }

    #[test]
    fn a_text_that_is_given_wins_over_the_build_type() {
        let recipe = |build_type, given: Option<&str>| recipe(build_type, given.map(str::to_owned)).unwrap();
        assert_eq!(recipe(None, None), Recipe::Found);
        assert_eq!(recipe(Some(BuildType::Nixpacks), None), Recipe::Made);
        assert_eq!(recipe(Some(BuildType::Pack), None), Recipe::Made);
        assert_eq!(recipe(Some(BuildType::Made), Some("FROM x")), Recipe::Given("FROM x".to_owned()));
    }

    #[test]
    fn a_commit_is_given_in_full() {
        let id = "0123456789ABCDEF0123456789abcdef01234567";
        let expected = Revision::Commit { id: id.to_lowercase(), branch: Some("main".to_owned()) };
        assert_eq!(wanted_revision(Some("main"), Some(id)).unwrap(), Some(expected));
        for bad in ["0123456", "main", ""] {
            assert!(wanted_revision(None, Some(bad)).is_err(), "{bad}");
        }
        for bad in ["-x", "a..b", "", "a b"] {
            assert!(wanted_revision(Some(bad), None).is_err(), "{bad}");
            assert!(wanted_revision(Some(bad), Some(id)).is_err(), "{bad}");
        }
    }
}
