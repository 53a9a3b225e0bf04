//! Registry credentials. A login is tried at its registry in the background, or before it is saved when the request
//! asks for it.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::future::Future;

use model::{AppId, Credential, CredentialId, CredentialStatus, FailureCode};
use store::StoreError;
use wire::{
    CreateDockerRegistry, DockerRegistry, DockerRegistryStatus, DockerRegistryVerification, Secret,
    UpdateDockerRegistry,
};

use crate::call::{Answer, Call, found};
use crate::error::ApiError;
use crate::page::{DEFAULT_LIMIT, Page};
use crate::permission::{Permission, Scope};
use crate::platform::{ImageProblem, LoginCheck, LoginVerdict, PlatformError};
use crate::rules::credential;

pub async fn list(call: Call) -> Result<Answer, ApiError> {
    let page = Page::from_query(&call.query, DEFAULT_LIMIT);
    let listed = match call.caller().powers.scope(Permission::CredentialList) {
        Scope::All => call.store().credentials(page.of_store()).await?,
        Scope::Only(ids) => {
            let mut seen = Vec::new();
            for id in ids {
                seen.extend(found(call.store().credential(CredentialId::from_uuid(id)).await)?);
            }
            seen.sort_by_key(|record: &Credential| Reverse((record.created_at, record.id)));
            seen.dedup();
            page.cut(seen)
        }
    };
    let mut users: HashMap<CredentialId, Vec<AppId>> = HashMap::new();
    for (id, app) in call.store().users_of_credentials().await? {
        users.entry(id).or_default().push(app);
    }
    let users_of = |id| users.get(&id).map_or(&[][..], Vec::as_slice);
    Answer::ok(&page.envelope(&listed, |record| show(&call, record, users_of(record.id))))
}

pub async fn create(call: Call) -> Result<Answer, ApiError> {
    let input: CreateDockerRegistry = call.json()?;
    let (mut credential, secret) = credential::new(call.company(), input)?;
    if call.query.is_on("verify") {
        accept(&call, &mut credential, &secret).await?;
    }
    call.store().create_credential(&credential, secret.expose()).await?;
    try_unverified(&call, &credential);
    // The caller has just sent all of it, so there is nothing to hide.
    Answer::created(credential.id.uuid(), &credential::show(&credential, &[]))
}

pub async fn get(call: Call) -> Result<Answer, ApiError> {
    let credential = find(&call).await?;
    Answer::ok(&show_one(&call, &credential).await?)
}

pub async fn update(call: Call) -> Result<Answer, ApiError> {
    let mut known = find(&call).await?;
    let input: UpdateDockerRegistry = call.json()?;
    let is_verified = call.query.is_on("verify");
    loop {
        let (mut wanted, secret) = credential::changed(&known, input.clone())?;
        if let (true, Some(secret)) = (is_verified, &secret) {
            accept(&call, &mut wanted, secret).await?;
        }
        // The registry may have been slow: the change is made to the record as it is by now.
        let _turn = call.turn().await;
        let current = find(&call).await?;
        if is_verified && !credential::is_same_account(&known, &current) {
            // What was tried is not what would be saved.
            known = current;
            continue;
        }
        let (mut changed, _) = credential::changed(&current, input)?;
        if secret.is_some() {
            (changed.status, changed.last_verified_at) = (wanted.status, wanted.last_verified_at);
        }
        call.store().update_credential(&changed, secret.as_ref().map(Secret::expose)).await?;
        let saved = find(&call).await?;
        try_unverified(&call, &saved);
        return Answer::ok(&show_one(&call, &saved).await?);
    }
}

pub async fn delete(call: Call) -> Result<Answer, ApiError> {
    // No application picks it while it is being removed.
    let _turn = call.turn().await;
    match call.store().delete_credential(id(&call), call.query.is_on("force")).await {
        Err(StoreError::CredentialInUse(users)) => {
            Err(in_use(&call, "docker_registry_in_use", "This registry credential is in use.", users))
        }
        other => {
            other?;
            Answer::message("The registry credential was removed.")
        }
    }
}

pub async fn verify(call: Call) -> Result<Answer, ApiError> {
    let credential = find(&call).await?;
    let host = credential.host.as_deref().ok_or_else(no_host)?;
    let asked = call.state.platform.verify_credential(call.company(), credential.id);
    let check = answer_of(&call, host, asked).await?;
    let (status, code, message, hint) = match check.verdict {
        LoginVerdict::Accepted => (DockerRegistryStatus::Valid, None, None, None),
        LoginVerdict::Rejected { code, message, hint } => {
            (DockerRegistryStatus::Rejected, Some(code.as_str().to_owned()), Some(message), hint)
        }
    };
    let last_verified_at = check.at.to_string();
    let host = host.to_owned();
    Answer::ok(&DockerRegistryVerification { status, host, last_verified_at, code, message, hint })
}

/// Marks the credential as valid when its registry accepts the login; otherwise the answer is the refusal.
async fn accept(call: &Call, credential: &mut Credential, secret: &Secret) -> Result<(), ApiError> {
    let host = credential.host.as_deref().ok_or_else(no_host)?;
    let (company, username) = (call.company(), &credential.username);
    let asked = call.state.platform.check_login(company, host, username, secret.expose());
    let check = answer_of(call, host, asked).await.map_err(|error| error.and("Nothing was saved."))?;
    match check.verdict {
        LoginVerdict::Accepted => {
            credential.status = CredentialStatus::Valid;
            credential.last_verified_at = Some(check.at);
            Ok(())
        }
        LoginVerdict::Rejected { code, message, hint } => {
            let problem = ImageProblem { code, message, hint, platforms: Vec::new(), retry_after: None };
            Err(ApiError::login(&problem, Some(host)).and("Nothing was saved."))
        }
    }
}

/// Has the login tried in the background, when nobody has tried it yet. It also takes the place of a try that was
/// under way while the record changed: its result is dropped.
fn try_unverified(call: &Call, credential: &Credential) {
    if credential.status == CredentialStatus::Unverified && credential.host.is_some() {
        call.state.platform.verify_in_background(call.company(), credential.id);
    }
}

/// The registry's yes or no, in the time that clients wait.
async fn answer_of(
    call: &Call,
    host: &str,
    asked: impl Future<Output = Result<LoginCheck, PlatformError>>,
) -> Result<LoginCheck, ApiError> {
    let too_slow = |_| {
        Err(problem(
            FailureCode::RegistryTimeout,
            format!("{host} did not answer in time"),
            "Try again, or check that this machine reaches the registry.",
        ))
    };
    let result = tokio::time::timeout(call.state.registry_wait * 2, asked).await.unwrap_or_else(too_slow);
    result.map_err(|error| match error {
        PlatformError::Image(problem) => ApiError::login(&problem, Some(host)),
        other => other.into(),
    })
}

fn no_host() -> ApiError {
    let no_host = problem(
        FailureCode::CredentialHostMismatch,
        "this credential names no host, so there is no registry to try it at".to_owned(),
        "Give it the host of one registry; without one it is tried with the first image that it is used for.",
    );
    no_host.into()
}

fn problem(code: FailureCode, message: String, hint: &str) -> PlatformError {
    let hint = Some(hint.to_owned());
    PlatformError::Image(Box::new(ImageProblem {
        code,
        message,
        hint,
        platforms: Vec::new(),
        retry_after: None,
    }))
}

/// Who uses it, as far as the caller may see applications; the count is that of all.
pub fn in_use(call: &Call, code: &'static str, message: &str, users: Vec<(AppId, String)>) -> ApiError {
    let count = match users.len() {
        1 => "1 application".to_owned(),
        more => format!("{more} applications"),
    };
    let visible = call.caller().powers.scope(Permission::AppRead);
    let users = users.into_iter().filter(|(app, _)| visible.covers(app.uuid()));
    let users =
        users.map(|(app, display_name)| wire::CredentialUser { id: app.to_string(), display_name }).collect();
    ApiError::credential_in_use(code, message, users)
        .with_detail(format!("Used by {count}. Repeat with ?force=true to remove it anyway."))
}

/// A credential of the company that the caller may pick; `None` looks the same as one that does not exist.
pub async fn pickable(call: &Call, id: CredentialId) -> Result<Option<Credential>, ApiError> {
    match call.caller().powers.scope(Permission::CredentialRead).covers(id.uuid()) {
        true => found(call.store().credential(id).await),
        false => Ok(None),
    }
}

/// The credential of the path, in the caller's company.
async fn find(call: &Call) -> Result<Credential, ApiError> {
    Ok(call.store().credential(id(call)).await?)
}

fn id(call: &Call) -> CredentialId {
    CredentialId::from_uuid(call.path.get("id"))
}

async fn show_one(call: &Call, credential: &Credential) -> Result<DockerRegistry, ApiError> {
    let users = call.store().credential_users(credential.id).await?;
    let users: Vec<_> = users.into_iter().map(|app| app.id).collect();
    Ok(show(call, credential, &users))
}

/// As much of a credential as the caller may see.
fn show(call: &Call, credential: &Credential, users: &[AppId]) -> DockerRegistry {
    let powers = &call.caller().powers;
    if !powers.scope(Permission::CredentialRead).covers(credential.id.uuid()) {
        return credential::show_name(credential);
    }
    let visible = powers.scope(Permission::AppRead);
    let users: Vec<_> = users.iter().copied().filter(|app| visible.covers(app.uuid())).collect();
    credential::show(credential, &users)
}
