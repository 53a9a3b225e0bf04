//! The push webhook: an address to which a Git server tells of pushes, and signs what it says. All of it is an extension.

use http::StatusCode;
use model::{AppId, CompanyId, Deployment, Source, Trigger};
use store::{Hook, HookKind};
use wire::{PushReceived, PushStatus, PushWebhook, Secret, StartedDeployment};

use crate::audit::{self, Actor};
use crate::call::{Answer, Call};
use crate::dispatch::wrong_secret;
use crate::error::ApiError;
use crate::platform::DeployRequest;
use crate::routes::applications;
use crate::routes::deployment_hook::{note_call, throttle};
use crate::rules::push::{self, Event, Verdict, Wanted, signature};
use crate::token;

const KIND: HookKind = HookKind::Push;
/// What a Git server has to send; other events are left alone.
const EVENT: &str = "push";

pub async fn get(call: Call) -> Result<Answer, ApiError> {
    let app = applications::find(&call).await?.id;
    match call.store().hook(app, KIND).await? {
        Some(hook) => Answer::ok(&show(&call, &hook, None)),
        None => Err(ApiError::not_found("push webhook")),
    }
}

pub async fn enable(call: Call) -> Result<Answer, ApiError> {
    let app = applications::find(&call).await?.id;
    let _turn = call.turn().await;
    match call.store().hook(app, KIND).await? {
        Some(hook) => Answer::created(app.uuid(), &show(&call, &hook, None)),
        None => Answer::created(app.uuid(), &fresh(&call, app).await?),
    }
}

pub async fn regenerate(call: Call) -> Result<Answer, ApiError> {
    let app = applications::find(&call).await?.id;
    let _turn = call.turn().await;
    match call.store().hook(app, KIND).await? {
        Some(_) => Answer::ok(&fresh(&call, app).await?),
        None => Err(ApiError::not_found("push webhook")),
    }
}

pub async fn disable(call: Call) -> Result<Answer, ApiError> {
    call.store().remove_hook(applications::id(&call), KIND).await?;
    Ok(Answer::nothing())
}

async fn fresh(call: &Call, app: AppId) -> Result<PushWebhook, ApiError> {
    let secret = token::fresh_secret();
    let hook = call.store().set_hook(app, KIND, secret.expose()).await?;
    Ok(show(call, &hook, Some(secret)))
}

fn show(call: &Call, hook: &Hook, secret: Option<Secret>) -> PushWebhook {
    PushWebhook {
        url: format!("{}/v3/hooks/push/{}", call.origin(), hook.app),
        secret,
        events: vec![EVENT.to_owned()],
        last_called_at: hook.last_called_at.map(|at| at.to_string()),
    }
}

/// Takes what a Git server says. Nothing of it is read before its signature is known to be right, and only what is
/// right and meant to deploy is written down, or anybody could fill the disk.
pub async fn receive(call: Call) -> Result<Answer, ApiError> {
    let app = AppId::from_uuid(call.path.get("id"));
    let called = call.state.store.instance().called_hook(app, KIND).await?;
    let secret = called.as_ref().map_or(token::NO_SECRET, |hook| hook.secret.expose());
    let is_right = signature::is_right(&call.headers, &call.body, secret);
    let company = match called {
        Some(hook) if is_right => hook.company,
        other => {
            wrong_secret(&call.state, call.peer).await;
            return Err(match other {
                Some(_) => wrong_signature(),
                None => ApiError::not_found("push webhook"),
            });
        }
    };
    note_call(&call.state, company, app, KIND).await;
    match verdict(&call, company, app).await? {
        Verdict::Ignored(reason) => ignored(reason),
        Verdict::Deploy { revision, commit, before } => {
            let trigger = Trigger::AutoDeployOnPush;
            let (revision, commit) = (Some(revision), Some(commit));
            let request =
                DeployRequest { image: None, revision, commit, before, restart: false, trigger, key: None };
            let result = deploy(&call, company, app, request).await;
            let status = result.as_ref().map_or_else(ApiError::status, |_| StatusCode::OK);
            let actor = Actor::Hook(company);
            audit::append(&call.state, "receivePush", actor, Some(app.uuid()), call.peer, status).await;
            started(&result?)
        }
    }
}

async fn deploy(
    call: &Call,
    company: CompanyId,
    app: AppId,
    request: DeployRequest,
) -> Result<Deployment, ApiError> {
    throttle(&call.state, app)?;
    Ok(call.state.platform.deploy(company, app, request).await?)
}

/// What the application makes of the event.
async fn verdict(call: &Call, company: CompanyId, app: AppId) -> Result<Verdict, ApiError> {
    let pushes = match push::event(&call.headers, &call.body)? {
        Event::Other(name) => return Ok(Verdict::Ignored(format!("the event {name:?} is no push"))),
        Event::Pushes(pushes) => pushes,
    };
    let record = call.state.store.company(company).app(app).await?;
    Ok(match &record.source {
        Source::Image { .. } => {
            Verdict::Ignored("the application has a ready image and no repository".to_owned())
        }
        Source::Git(git) => push::decide(&Wanted::of(git, &record.kept), pushes),
    })
}

fn wrong_signature() -> ApiError {
    let message = "The signature is missing or wrong.";
    ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
}

/// Of a push that was told of before it is the deployment of that time, which may be over.
fn started(record: &Deployment) -> Result<Answer, ApiError> {
    let deployment = Some(StartedDeployment { id: record.id.to_string() });
    let (status, reason) = match record.state.is_final() {
        false => (PushStatus::Deploying, None),
        true => {
            let reason = "this push was told of before, and its deployment is over; deploy the commit by hand to have it again";
            (PushStatus::Ignored, Some(reason.to_owned()))
        }
    };
    Answer::ok(&PushReceived { status, reason, deployment })
}

fn ignored(reason: String) -> Result<Answer, ApiError> {
    Answer::ok(&PushReceived { status: PushStatus::Ignored, reason: Some(reason), deployment: None })
}
