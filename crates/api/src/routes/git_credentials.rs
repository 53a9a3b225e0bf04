//! Git credentials. All of it is an extension.

use std::cmp::Reverse;
use std::collections::HashMap;

use model::git::GitLogin;
use model::{AppId, FailureCode, GitCredential, GitCredentialId};
use store::StoreError;
use wire::{CreateGitCredential, Secret, UpdateGitCredential};

use crate::call::{Answer, Call, found};
use crate::error::ApiError;
use crate::page::{DEFAULT_LIMIT, Page};
use crate::permission::{Permission, Scope};
use crate::platform::{GitProblem, PlatformError};
use crate::routes::docker_registries;
use crate::rules::git_credential::{self, New};

pub async fn list(call: Call) -> Result<Answer, ApiError> {
    let page = Page::from_query(&call.query, DEFAULT_LIMIT);
    let listed = match call.caller().powers.scope(Permission::GitCredentialList) {
        Scope::All => call.store().git_credentials(page.of_store()).await?,
        Scope::Only(ids) => {
            let mut seen = Vec::new();
            for id in ids {
                seen.extend(found(call.store().git_credential(GitCredentialId::from_uuid(id)).await)?);
            }
            seen.sort_by_key(|record: &GitCredential| Reverse((record.created_at, record.id)));
            seen.dedup();
            page.cut(seen)
        }
    };
    let mut users: HashMap<GitCredentialId, Vec<AppId>> = HashMap::new();
    for (id, app) in call.store().users_of_git_credentials().await? {
        users.entry(id).or_default().push(app);
    }
    let users_of = |id| users.get(&id).map_or(&[][..], Vec::as_slice);
    Answer::ok(&page.envelope(&listed, |record| show(&call, record, users_of(record.id))))
}

pub async fn create(call: Call) -> Result<Answer, ApiError> {
    let input: CreateGitCredential = call.json()?;
    let (credential, secret) = match git_credential::new(call.company(), input)? {
        New::Token(credential, token) => (credential, token),
        New::DeployKey { name, host } => with_key(&call, name, host).await?,
    };
    call.store().create_git_credential(&credential, secret.expose()).await?;
    // The caller made it, so there is nothing of it to hide but the secret.
    Answer::created(credential.id.uuid(), &git_credential::show(&credential, &[]))
}

/// Makes the key pair. The private half goes into the store and nowhere else.
async fn with_key(call: &Call, name: String, host: String) -> Result<(GitCredential, Secret), ApiError> {
    let comment = git_credential::key_comment(&name);
    let asked = call.state.platform.make_deploy_key(&host, &comment);
    let too_slow = |_| Err(silent(&host));
    let key = tokio::time::timeout(call.state.registry_wait * 2, asked).await.unwrap_or_else(too_slow)?;
    let login = GitLogin::DeployKey { public_key: key.public_key, host_keys: key.host_keys };
    Ok((git_credential::record(call.company(), name, host, login), Secret::from(key.private_key)))
}

fn silent(host: &str) -> PlatformError {
    PlatformError::Git(Box::new(GitProblem {
        code: FailureCode::GitUnreachable,
        message: format!("{host} did not show its host keys in time."),
        hint: Some("Check the name and the port, and that this machine reaches it over ssh.".to_owned()),
    }))
}

pub async fn get(call: Call) -> Result<Answer, ApiError> {
    let credential = find(&call).await?;
    Answer::ok(&show_one(&call, &credential).await?)
}

pub async fn update(call: Call) -> Result<Answer, ApiError> {
    let _turn = call.turn().await;
    let known = find(&call).await?;
    let input: UpdateGitCredential = call.json()?;
    let (changed, secret) = git_credential::changed(&known, input)?;
    call.store().update_git_credential(&changed, secret.as_ref().map(Secret::expose)).await?;
    Answer::ok(&show_one(&call, &find(&call).await?).await?)
}

pub async fn delete(call: Call) -> Result<Answer, ApiError> {
    // No application picks it while it is being removed.
    let _turn = call.turn().await;
    match call.store().delete_git_credential(id(&call), call.query.is_on("force")).await {
        Err(StoreError::CredentialInUse(users)) => Err(docker_registries::in_use(
            &call,
            "git_credential_in_use",
            "This Git credential is in use.",
            users,
        )),
        other => {
            other?;
            Answer::message("The Git credential was removed.")
        }
    }
}

/// A credential of the company that the caller may pick; `None` looks the same as one that does not exist.
pub async fn pickable(call: &Call, id: GitCredentialId) -> Result<Option<GitCredential>, ApiError> {
    match call.caller().powers.scope(Permission::GitCredentialRead).covers(id.uuid()) {
        true => found(call.store().git_credential(id).await),
        false => Ok(None),
    }
}

/// The credential of the path, in the caller's company.
async fn find(call: &Call) -> Result<GitCredential, ApiError> {
    Ok(call.store().git_credential(id(call)).await?)
}

fn id(call: &Call) -> GitCredentialId {
    GitCredentialId::from_uuid(call.path.get("id"))
}

async fn show_one(call: &Call, credential: &GitCredential) -> Result<wire::GitCredential, ApiError> {
    let users = call.store().git_credential_users(credential.id).await?;
    let users: Vec<_> = users.into_iter().map(|app| app.id).collect();
    Ok(show(call, credential, &users))
}

/// As much of a credential as the caller may see.
fn show(call: &Call, credential: &GitCredential, users: &[AppId]) -> wire::GitCredential {
    let powers = &call.caller().powers;
    if !powers.scope(Permission::GitCredentialRead).covers(credential.id.uuid()) {
        return git_credential::show_name(credential);
    }
    let visible = powers.scope(Permission::AppRead);
    let users: Vec<_> = users.iter().copied().filter(|app| visible.covers(app.uuid())).collect();
    git_credential::show(credential, &users)
}
