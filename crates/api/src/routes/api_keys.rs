//! API keys. Nobody hands on more than they have, and no key changes itself.

use std::cmp::Reverse;

use jiff::SignedDuration;
use model::access::ApiKey;
use model::{ApiKeyId, Timestamp};
use store::NewToken;
use wire::{
    ApiKeyValidation, CreateApiKey, CreatedApiKey, RotateApiKey, RotatedApiKey, ToggledApiKey, UpdateApiKey,
};

use crate::call::{Answer, Call, found};
use crate::check;
use crate::error::ApiError;
use crate::page::{DEFAULT_LIMIT, Page};
use crate::permission::{Permission, Powers, Scope};
use crate::rules::keys;
use crate::token::Token;

pub async fn list(call: Call) -> Result<Answer, ApiError> {
    let page = Page::from_query(&call.query, DEFAULT_LIMIT);
    let listed = match call.caller().powers.scope(Permission::ApiKeyRead) {
        Scope::All => call.store().api_keys(page.of_store()).await?,
        Scope::Only(ids) => {
            let mut seen = Vec::new();
            for id in ids {
                seen.extend(found(call.store().api_key(ApiKeyId::from_uuid(id)).await)?);
            }
            seen.sort_by_key(|record: &ApiKey| Reverse((record.created_at, record.id)));
            seen.dedup();
            page.cut(seen)
        }
    };
    Answer::ok(&page.envelope(&listed, keys::show))
}

pub async fn create(call: Call) -> Result<Answer, ApiError> {
    let input: CreateApiKey = call.json()?;
    check::name("name", &input.name, 1, 255)?;
    if let Some(text) = &input.expired_at {
        check::moment("expired_at", text)?;
    }
    let roles = keys::roles(&input.role_ids.unwrap_or_default())?;
    let capabilities = keys::capabilities(&input.capabilities.unwrap_or_default())?;
    refuse_powerless(roles.is_empty() && capabilities.is_empty())?;
    refuse_more_than_own(&call, &Powers::new(roles.clone(), capabilities.clone()))?;
    let token = Token::generate();
    let now = Timestamp::now();
    let key = ApiKey {
        id: ApiKeyId::new(),
        company: call.company(),
        name: input.name,
        is_enabled: true,
        source: "EXTERNAL".into(),
        masked_token: token.masked(),
        roles,
        capabilities,
        last_used_at: None,
        expired_at: input.expired_at,
        old_token_expired_at: None,
        created_at: now,
        updated_at: now,
    };
    call.store().create_api_key(&key, token.hash()).await?;
    let shown = CreatedApiKey { id: key.id.to_string(), name: key.name, token: token.reveal().into() };
    Answer::created(key.id.uuid(), &shown)
}

pub async fn validate(call: Call) -> Result<Answer, ApiError> {
    let key = &call.caller().key;
    Answer::ok(&ApiKeyValidation {
        name: key.name.clone(),
        company_id: key.company.to_string(),
        expires_at: key.expired_at.clone(),
        status: "active".into(),
    })
}

pub async fn me(call: Call) -> Result<Answer, ApiError> {
    let caller = call.caller();
    let capabilities = keys::show_capabilities(&caller.powers.effective());
    Answer::ok(&wire::ApiKey { capabilities, ..keys::show(&caller.key) })
}

pub async fn get(call: Call) -> Result<Answer, ApiError> {
    Answer::ok(&keys::show(&find(&call).await?))
}

pub async fn update(call: Call) -> Result<Answer, ApiError> {
    let _turn = call.turn().await;
    let mut key = changeable(&call).await?;
    let input: UpdateApiKey = call.json()?;
    if let Some(name) = input.name {
        check::name("name", &name, 1, 255)?;
        key.name = name;
    }
    let gets_powers = input.role_ids.is_some() || input.capabilities.is_some();
    if let Some(ids) = input.role_ids {
        key.roles = keys::roles(&ids)?;
    }
    if let Some(capabilities) = input.capabilities {
        key.capabilities = keys::capabilities(&capabilities)?;
    }
    // One that lost its last capability together with an application can still be renamed.
    refuse_powerless(gets_powers && key.roles.is_empty() && key.capabilities.is_empty())?;
    refuse_more_than_own(&call, &Powers::of(&key))?;
    key.updated_at = Timestamp::now();
    call.store().update_api_key(&key).await?;
    Answer::ok(&keys::show(&key))
}

pub async fn delete(call: Call) -> Result<Answer, ApiError> {
    let key = changeable(&call).await?;
    call.store().delete_api_key(key.id).await?;
    Answer::message("The API key was removed.")
}

pub async fn toggle(call: Call) -> Result<Answer, ApiError> {
    let _turn = call.turn().await;
    let mut key = changeable(&call).await?;
    key.is_enabled = !key.is_enabled;
    call.store().set_api_key_enabled(key.id, key.is_enabled).await?;
    let message = if key.is_enabled { "The API key is switched on." } else { "The API key is switched off." };
    Answer::ok(&ToggledApiKey { message: message.into(), is_enabled: key.is_enabled })
}

pub async fn rotate(call: Call) -> Result<Answer, ApiError> {
    let _turn = call.turn().await;
    let key = changeable(&call).await?;
    let input: RotateApiKey = call.json_or_empty()?;
    let hours = check::range("old_token_ttl_hours", input.old_token_ttl_hours.unwrap_or(0), 0, 168)?;
    let token = Token::generate();
    let until = Timestamp::now()
        .checked_add(SignedDuration::from_hours(i64::from(hours)))
        .map_err(|error| ApiError::internal(&error))?;
    let old_valid_until = (hours > 0).then_some(until);
    let new = NewToken { hash: token.hash(), masked: token.masked(), old_valid_until };
    call.store().rotate_api_key(key.id, new).await?;
    Answer::ok(&RotatedApiKey { name: key.name, token: token.reveal().into() })
}

async fn find(call: &Call) -> Result<ApiKey, ApiError> {
    Ok(call.store().api_key(ApiKeyId::from_uuid(call.path.get("id"))).await?)
}

/// The key of the path, if the caller may change it. A key that can do more than the caller is out of reach: its
/// new token would be a way to more power.
async fn changeable(call: &Call) -> Result<ApiKey, ApiError> {
    let key = find(call).await?;
    if key.id == call.caller().key.id {
        let message = "An API key cannot change itself.";
        return Err(
            ApiError::bad_request("api_key_self_change", message).with_detail("Use another key for it.")
        );
    }
    refuse_more_than_own(call, &Powers::of(&key))?;
    Ok(key)
}

fn refuse_more_than_own(call: &Call, powers: &Powers) -> Result<(), ApiError> {
    match call.caller().powers.include(powers) {
        true => Ok(()),
        false => Err(ApiError::forbidden(
            "everything that the other key may do; nobody hands on more than they have",
        )),
    }
}

fn refuse_powerless(is_powerless: bool) -> Result<(), ApiError> {
    match is_powerless {
        true => Err(ApiError::invalid("role_ids", "a role or a capability must be given")),
        false => Ok(()),
    }
}
