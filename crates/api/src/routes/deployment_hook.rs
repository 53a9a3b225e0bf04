//! The deployment hook: a secret address of an application. Whoever knows it may deploy, and nothing else.

use http::StatusCode;
use model::{AppId, CompanyId, Timestamp, Trigger};
use store::{Hook, HookKind};
use wire::{DeploymentHook, HookDeployment, Secret, StartedDeployment};

use crate::audit::{self, Actor};
use crate::call::{Answer, Call};
use crate::dispatch::wrong_secret;
use crate::error::{ApiError, chain};
use crate::idempotency;
use crate::platform::DeployRequest;
use crate::routes::{applications, deployments};
use crate::rules::{deployment, hook};
use crate::state::ApiState;
use crate::token;

const KIND: HookKind = HookKind::Deploy;

pub async fn get(call: Call) -> Result<Answer, ApiError> {
    let app = applications::find(&call).await?.id;
    match call.store().hook_with_secret(app, KIND).await? {
        Some((hook, secret)) => Answer::ok(&show(&call, &hook, secret.expose())),
        None => Err(ApiError::not_found("deployment hook")),
    }
}

pub async fn enable(call: Call) -> Result<Answer, ApiError> {
    let app = applications::find(&call).await?.id;
    let _turn = call.turn().await;
    match call.store().hook_with_secret(app, KIND).await? {
        Some((hook, secret)) => Answer::created(app.uuid(), &show(&call, &hook, secret.expose())),
        None => Answer::created(app.uuid(), &fresh(&call, app).await?),
    }
}

pub async fn regenerate(call: Call) -> Result<Answer, ApiError> {
    let app = applications::find(&call).await?.id;
    let _turn = call.turn().await;
    match call.store().hook(app, KIND).await? {
        Some(_) => Answer::ok(&fresh(&call, app).await?),
        None => Err(ApiError::not_found("deployment hook")),
    }
}

pub async fn disable(call: Call) -> Result<Answer, ApiError> {
    call.store().remove_hook(applications::id(&call), KIND).await?;
    Ok(Answer::nothing())
}

async fn fresh(call: &Call, app: AppId) -> Result<DeploymentHook, ApiError> {
    let secret = token::fresh_secret();
    let hook = call.store().set_hook(app, KIND, secret.expose()).await?;
    Ok(show(call, &hook, secret.expose()))
}

fn show(call: &Call, hook: &Hook, secret: &str) -> DeploymentHook {
    DeploymentHook {
        url: Secret::from(format!("{}/v3/apps/{}/deploy/{secret}", call.origin(), hook.app)),
        last_called_at: hook.last_called_at.map(|at| at.to_string()),
    }
}

/// Deploys. An unknown application, one without a hook and a wrong secret are the same to the caller, in words and in
/// time. Only calls that are right are written down, or anybody could fill the disk.
pub async fn call(call: Call) -> Result<Answer, ApiError> {
    let app = AppId::from_uuid(call.path.get("id"));
    let Some(company) = company_of(&call, app).await? else {
        wrong_secret(&call.state, call.peer).await;
        return Err(ApiError::not_found("deployment hook"));
    };
    let result = deploy(&call, company, app).await;
    let status = result.as_ref().map_or_else(ApiError::status, |_| StatusCode::OK);
    let actor = Actor::Hook(company);
    audit::append(&call.state, "callDeploymentHook", actor, Some(app.uuid()), call.peer, status).await;
    result
}

/// The company of the application, for a caller who knows its secret.
async fn company_of(call: &Call, app: AppId) -> Result<Option<CompanyId>, ApiError> {
    let called = call.state.store.instance().called_hook(app, KIND).await?;
    let expected = called.as_ref().map_or(token::NO_SECRET, |hook| hook.secret.expose());
    let is_right = token::same_secret(call.path.secret(), expected);
    Ok(called.filter(|_| is_right).map(|hook| hook.company))
}

async fn deploy(call: &Call, company: CompanyId, app: AppId) -> Result<Answer, ApiError> {
    let rows = call.state.store.company(company);
    note_call(&call.state, company, app, KIND).await;
    let input = hook::wanted(&call.headers, &call.query, &call.body)?;
    let asked = serde_json::to_vec(&input).map_err(|error| ApiError::internal(&error))?;
    let key = idempotency::key_for(call, "callDeploymentHook", &asked)?;
    let record = match deployments::started_before(&rows, key.as_ref()).await? {
        Some(earlier) => earlier,
        None => {
            let source = rows.app(app).await?.source;
            let (image, revision) = deployment::wanted(&source, &input)?;
            throttle(&call.state, app)?;
            let trigger = Trigger::DeployHook;
            let (commit, before) = (None, None);
            let request = DeployRequest { image, revision, commit, before, restart: false, trigger, key };
            call.state.platform.deploy(company, app, request).await?
        }
    };
    Answer::ok(&HookDeployment { deployment: StartedDeployment { id: record.id.to_string() } })
}

/// Whoever has the secret is not to start deployments without end.
pub fn throttle(state: &ApiState, app: AppId) -> Result<(), ApiError> {
    let taken = state.hook_deployments.take(app, std::time::Instant::now());
    taken.map_err(|wait| ApiError::too_many_requests("to deploy this application", wait))
}

/// Notes the call. Where that cannot be written, it counts all the same.
pub async fn note_call(state: &ApiState, company: CompanyId, app: AppId, kind: HookKind) {
    if let Err(error) = state.store.company(company).hook_called(app, kind, Timestamp::now()).await {
        tracing::warn!(%app, error = chain(&error), "the call of a hook cannot be noted");
    }
}
