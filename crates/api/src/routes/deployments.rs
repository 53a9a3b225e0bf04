//! Deployments of an application.

use model::{AppId, DeploymentId, Trigger};
use store::{CompanyStore, RequestKey};
use wire::{PromoteApplication, RollbackDeployment, TriggerDeployment};

use crate::call::{Answer, Call, found};
use crate::check;
use crate::error::ApiError;
use crate::idempotency;
use crate::page::{DEFAULT_LIMIT, Page};
use crate::permission::Permission;
use crate::platform::DeployRequest;
use crate::routes::applications;
use crate::rules::deployment;

pub async fn list(call: Call) -> Result<Answer, ApiError> {
    let page = Page::from_query(&call.query, DEFAULT_LIMIT);
    let app = applications::find(&call).await?;
    let listed = call.store().deployments(app.id, page.of_store()).await?;
    Answer::ok(&page.envelope(&listed, |record| show(&call, record)))
}

pub async fn trigger(call: Call) -> Result<Answer, ApiError> {
    let app = applications::find(&call).await?;
    let key = idempotency::key(&call, "triggerDeployment")?;
    if let Some(earlier) = started_before(&call.store(), key.as_ref()).await? {
        return Answer::ok(&show(&call, &earlier));
    }
    let input: TriggerDeployment = call.json_or_empty()?;
    let (image, revision) = deployment::wanted(&app.source, &input)?;
    let restart = input.is_restart.unwrap_or(false);
    let request = DeployRequest {
        image,
        revision,
        commit: None,
        before: None,
        restart,
        trigger: if restart { Trigger::Restart } else { Trigger::ManualDeploy },
        key,
    };
    let record = call.state.platform.deploy(call.company(), app.id, request).await?;
    Answer::ok(&show(&call, &record))
}

pub async fn rollback(call: Call) -> Result<Answer, ApiError> {
    let app = applications::find(&call).await?;
    let key = idempotency::key(&call, "rollbackDeployment")?;
    if let Some(earlier) = started_before(&call.store(), key.as_ref()).await? {
        return Answer::ok(&show(&call, &earlier));
    }
    let input: RollbackDeployment = call.json_or_empty()?;
    let to = match &input.deployment_id {
        Some(text) => Some(DeploymentId::from_uuid(check::id("deployment_id", text)?)),
        None => None,
    };
    let record = call.state.platform.rollback(call.company(), app.id, to, key).await?;
    Answer::ok(&show(&call, &record))
}

/// Deploys what the application of the path serves to another one. The table has asked for the right to deploy the
/// first; the second is held against the same permission here, and one without it looks like none.
pub async fn promote(call: Call) -> Result<Answer, ApiError> {
    let from = applications::find(&call).await?;
    let key = idempotency::key(&call, "promoteApplication")?;
    let input: PromoteApplication = call.json()?;
    let to = AppId::from_uuid(check::id("target_app_id", &input.target_app_id)?);
    let may_deploy = call.caller().powers.scope(Permission::AppDeploy).covers(to.uuid());
    if !may_deploy || found(call.store().app(to).await)?.is_none() {
        return Err(ApiError::invalid("target_app_id", "there is no such application"));
    }
    if to == from.id {
        return Err(ApiError::invalid(
            "target_app_id",
            "it is the application itself; deploy or restart that",
        ));
    }
    let record = match started_before(&call.store(), key.as_ref()).await? {
        Some(earlier) => earlier,
        None => call.state.platform.promote(call.company(), from.id, to, key).await?,
    };
    Ok(Answer::ok(&show(&call, &record))?.about(to.uuid()))
}

/// What the same request started when it came before. Two that come at once are told apart by the database.
pub async fn started_before(
    store: &CompanyStore,
    key: Option<&RequestKey>,
) -> Result<Option<model::Deployment>, ApiError> {
    match key {
        Some(key) => Ok(store.started_by(key).await?),
        None => Ok(None),
    }
}

pub async fn get(call: Call) -> Result<Answer, ApiError> {
    Answer::ok(&show(&call, &find(&call).await?))
}

pub async fn cancel(call: Call) -> Result<Answer, ApiError> {
    let record = find(&call).await?;
    call.state.platform.cancel(call.company(), record.app, record.id).await?;
    Answer::message("The deployment is being cancelled.")
}

/// The deployment of the path, of the application of the path, in the caller's company.
pub async fn find(call: &Call) -> Result<model::Deployment, ApiError> {
    let id = DeploymentId::from_uuid(call.path.get("deployment_id"));
    Ok(call.store().deployment(applications::id(call), id).await?)
}

fn show(call: &Call, record: &model::Deployment) -> wire::Deployment {
    deployment::show(record, call.state.platform.progress(record.id))
}
