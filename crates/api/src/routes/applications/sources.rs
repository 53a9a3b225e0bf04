//! Where an application comes from, with the look-ups that a request about it needs.

use model::git::{GitUrl, Scheme};
use model::image::Reference;
use model::{App, Credential, CredentialId, GitCredential, GitCredentialId, Kept, Source};
use tokio::sync::MutexGuard;
use wire::{CreateApplication, UpdateApplication};

use crate::call::Call;
use crate::check;
use crate::error::ApiError;
use crate::routes::{docker_registries, git_credentials, images};
use crate::rules::application;
use crate::rules::source::{self, Logins};

/// A source that is not stored yet, what is kept beside it, and the turn in which it has to be.
type New<'a> = (MutexGuard<'a, ()>, Source, Kept);

/// The source of a new application with a ready image.
pub async fn new_image<'a>(call: &'a Call, input: &CreateApplication) -> Result<New<'a>, ApiError> {
    let image =
        input.docker_image.clone().ok_or_else(|| ApiError::invalid("docker_image", "an image is needed"))?;
    let reference = checked_image(&image)?;
    let login = input.docker_registry_credential_id.as_deref();
    let credential = registry_credential(call, login).await?;
    if let Some(credential) = &credential {
        images::refuse_misfit(credential, &reference)?;
    }
    let credential = credential.map(|credential| credential.id);
    images::refuse_unusable(&call.state, call.company(), &reference, credential).await?;

    // The registry may have been slow: the credential may be gone by now.
    let turn = call.turn().await;
    registry_credential(call, login).await?;
    let branch = input.default_branch.as_ref();
    let kept =
        branch.map(|branch| ("default_branch".to_owned(), serde_json::json!(branch).to_string())).into_iter();
    Ok((turn, Source::Image { reference: image, credential }, kept.collect()))
}

/// The source of a new application with a repository. The repository is not looked at: `POST /git/inspect` does that
/// and the deployment says what is wrong with it.
pub async fn new_repository<'a>(call: &'a Call, input: &CreateApplication) -> Result<New<'a>, ApiError> {
    let turn = call.turn().await;
    let change = source::as_change(input);
    let mut kept = Kept::new();
    application::keep(&mut kept, &change)?;
    application::keep_git(&mut kept, &change);
    let login = git_credential(call, input.git_credential_id.as_deref()).await?;
    let base_images = registry_credential(call, input.docker_registry_credential_id.as_deref()).await?;
    let logins = Logins {
        repository: login.as_ref().map(|login| login.id),
        base_images: base_images.map(|credential| credential.id),
    };
    let git = source::git(None, &kept, &change, logins)?;
    let url = reachable(call, &git.url)?;
    if let Some(login) = &login {
        source::refuse_misfit(login, &url)?;
    }
    Ok((turn, Source::Git(git), kept))
}

/// The image after a change.
///
/// Whether the credential fits the image is left to the deployment, which says `credential_host_mismatch`: image and
/// credential can be changed one after the other, and a client that sends all fields must not be kept from changing a
/// name while the two do not fit. A credential goes to its own host only, so nothing is risked.
pub async fn changed_image(
    call: &Call,
    app: &mut App,
    input: &UpdateApplication,
) -> Result<Source, ApiError> {
    application::drop_git(&mut app.kept);
    let (reference, known) = match (&input.docker_image, &app.source) {
        (Some(image), known) => {
            checked_image(image)?;
            (image.clone(), login_of(known))
        }
        (None, Source::Image { reference, credential }) => (reference.clone(), *credential),
        (None, Source::Git(_)) => return Err(ApiError::invalid("docker_image", "an image is needed")),
    };
    let credential = changed_login(call, known, input).await?;
    Ok(Source::Image { reference, credential })
}

/// The repository after a change. Whether its credential fits is left to the deployment here, too.
pub async fn changed_repository(
    call: &Call,
    app: &mut App,
    input: &UpdateApplication,
) -> Result<Source, ApiError> {
    if input.docker_image.is_some() && input.source.is_none() {
        let problem =
            "the application is built from a repository; send source dockerImage along to change that";
        return Err(ApiError::invalid("docker_image", problem));
    }
    application::keep_git(&mut app.kept, input);
    let known = app.source.git();
    let repository = known.and_then(|git| git.credential);
    let repository = match input.git_credential_id.as_ref().map(Option::as_deref) {
        None => repository,
        Some(given) if given == repository.map(|id| id.to_string()).as_deref() => repository,
        Some(given) => git_credential(call, given).await?.map(|credential| credential.id),
    };
    // What an image is pulled with is no login for base images.
    let base_images = changed_login(call, known.and_then(|git| git.build.base_credential), input).await?;
    let git = source::git(known, &app.kept, input, Logins { repository, base_images })?;
    if known.is_none_or(|known| known.url != git.url) {
        reachable(call, &git.url)?;
    }
    Ok(Source::Git(git))
}

/// The registry credential after a change. What is sent again as it was is not looked up.
async fn changed_login(
    call: &Call,
    known: Option<CredentialId>,
    input: &UpdateApplication,
) -> Result<Option<CredentialId>, ApiError> {
    match input.docker_registry_credential_id.as_ref().map(Option::as_deref) {
        None => Ok(known),
        Some(given) if given == known.map(|id| id.to_string()).as_deref() => Ok(known),
        Some(given) => Ok(registry_credential(call, given).await?.map(|credential| credential.id)),
    }
}

/// What an image is pulled with; what is built is not pulled.
fn login_of(source: &Source) -> Option<CredentialId> {
    match source {
        Source::Image { credential, .. } => *credential,
        Source::Git(_) => None,
    }
}

/// The address of a repository, unless it is one of plain http that the administrator did not name.
pub fn reachable(call: &Call, text: &str) -> Result<GitUrl, ApiError> {
    let url = source::address(text)?;
    match url.scheme() == Scheme::Http && !call.state.platform.allows_plain_http(url.host()) {
        true => Err(source::refuse_plain(&url)),
        false => Ok(url),
    }
}

/// An image reference of a length that is kept.
pub fn checked_image(text: &str) -> Result<Reference, ApiError> {
    check::length("docker_image", text, 1, 512)?;
    check::reference(text)
}

/// A registry credential of this company that the caller may pick.
async fn registry_credential(call: &Call, text: Option<&str>) -> Result<Option<Credential>, ApiError> {
    const FIELD: &str = "docker_registry_credential_id";
    let Some(text) = text else { return Ok(None) };
    let id = CredentialId::from_uuid(check::id(FIELD, text)?);
    let picked = docker_registries::pickable(call, id).await?;
    picked.ok_or_else(|| ApiError::invalid(FIELD, "there is no such registry credential")).map(Some)
}

/// A Git credential of this company that the caller may pick.
async fn git_credential(call: &Call, text: Option<&str>) -> Result<Option<GitCredential>, ApiError> {
    const FIELD: &str = "git_credential_id";
    let Some(text) = text else { return Ok(None) };
    let id = GitCredentialId::from_uuid(check::id(FIELD, text)?);
    let picked = git_credentials::pickable(call, id).await?;
    picked.ok_or_else(|| ApiError::invalid(FIELD, "there is no such Git credential")).map(Some)
}
