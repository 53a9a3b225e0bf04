//! Environment variables of an application.

use model::{EnvVar, EnvVarId, Timestamp};
use wire::{CreateEnvVar, UpdateEnvVar};

use crate::call::{Answer, Call};
use crate::check;
use crate::error::ApiError;
use crate::page::Page;
use crate::routes::applications;

/// The Terraform provider reads one page without asking for a size, and drops what is not there.
const DEFAULT_LIMIT: u32 = 100;
const MOST_VALUE: usize = 32_768;

pub async fn list(call: Call) -> Result<Answer, ApiError> {
    let page = Page::from_query(&call.query, DEFAULT_LIMIT);
    let app = applications::find(&call).await?;
    let listed = call.store().env_vars(app.id, page.of_store()).await?;
    Answer::ok(&page.envelope(&listed, show))
}

pub async fn create(call: Call) -> Result<Answer, ApiError> {
    let app = applications::find(&call).await?;
    let input: CreateEnvVar = call.json()?;
    check_key(&input.key)?;
    check_value(input.value.expose())?;
    let now = Timestamp::now();
    let var = EnvVar {
        id: EnvVarId::new(),
        app: app.id,
        company: app.company,
        key: input.key,
        value: input.value.into_inner(),
        is_runtime: Some(input.is_runtime.unwrap_or(true)),
        is_buildtime: Some(input.is_buildtime.unwrap_or(true)),
        created_at: now,
        updated_at: now,
    };
    call.store().create_env_var(&var).await?;
    Answer::created(var.id.uuid(), &show(&var))
}

pub async fn update(call: Call) -> Result<Answer, ApiError> {
    let _turn = call.turn().await;
    let mut var = call.store().env_var(applications::id(&call), id(&call)).await?;
    let input: UpdateEnvVar = call.json()?;
    if let Some(key) = input.key {
        check_key(&key)?;
        var.key = key;
    }
    if let Some(value) = input.value {
        check_value(value.expose())?;
        var.value = value.into_inner();
    }
    var.is_runtime = input.is_runtime.or(var.is_runtime);
    var.is_buildtime = input.is_buildtime.or(var.is_buildtime);
    var.updated_at = Timestamp::now();
    call.store().update_env_var(&var).await?;
    Answer::ok(&show(&var))
}

pub async fn delete(call: Call) -> Result<Answer, ApiError> {
    call.store().delete_env_var(applications::id(&call), id(&call)).await?;
    Answer::message("The variable was removed.")
}

fn id(call: &Call) -> EnvVarId {
    EnvVarId::from_uuid(call.path.get("env_var_id"))
}

/// What a process can be given: `execve` takes every name without `=` and NUL.
fn check_key(key: &str) -> Result<(), ApiError> {
    check::length("key", key, 1, 255)?;
    check::no_nul("key", key)?;
    match key.contains('=') {
        true => Err(ApiError::invalid("key", "the name of a variable cannot hold =")),
        false => Ok(()),
    }
}

fn check_value(value: &str) -> Result<(), ApiError> {
    check::length("value", value, 0, MOST_VALUE)?;
    check::no_nul("value", value)
}

fn show(var: &EnvVar) -> wire::EnvVar {
    wire::EnvVar {
        id: var.id.to_string(),
        app_id: var.app.to_string(),
        key: var.key.clone(),
        value: var.value.as_str().into(),
        is_runtime: var.is_runtime,
        is_buildtime: var.is_buildtime,
        created_at: var.created_at.to_string(),
        updated_at: var.updated_at.to_string(),
    }
}
