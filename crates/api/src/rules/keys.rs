//! API keys: what a request gives them, and how one is shown.

use model::access::{ApiKey, Capability, Role};
use uuid::Uuid;
use wire::{ApiKeyCapability, ApiKeyCapabilityInput, ApiKeyRoleRef, ApiKeySource};

use crate::check;
use crate::error::ApiError;
use crate::permission::is_permission_word;

const MOST_CAPABILITIES: usize = 200;

/// The roles with these ids.
pub fn roles(ids: &[String]) -> Result<Vec<Role>, ApiError> {
    let role = |text: &String| {
        let id = check::id("role_ids", text)?;
        Role::from_id(id).ok_or_else(|| ApiError::invalid("role_ids", format!("there is no role {id}")))
    };
    let mut roles = ids.iter().map(role).collect::<Result<Vec<_>, _>>()?;
    // A role counts once, where it came first.
    let mut seen = Vec::new();
    roles.retain(|role| {
        !seen.contains(role) && {
            seen.push(*role);
            true
        }
    });
    Ok(roles)
}

/// The capabilities, in the order in which they were given.
pub fn capabilities(inputs: &[ApiKeyCapabilityInput]) -> Result<Vec<Capability>, ApiError> {
    if inputs.len() > MOST_CAPABILITIES {
        return Err(ApiError::invalid("capabilities", format!("a key has at most {MOST_CAPABILITIES}")));
    }
    inputs.iter().map(capability).collect()
}

fn capability(input: &ApiKeyCapabilityInput) -> Result<Capability, ApiError> {
    if !is_permission_word(&input.permission) {
        let problem = "it must have the form RESOURCE:ACTION, such as APP:READ";
        return Err(ApiError::invalid("capabilities.permission", problem));
    }
    if let Some(resource) = &input.id_resource {
        check::name("capabilities.id_resource", resource, 1, 100)?;
    }
    Ok(Capability {
        id: Uuid::now_v7(),
        permission: input.permission.clone(),
        id_resource: input.id_resource.clone(),
    })
}

/// The record as the API gives it.
pub fn show(key: &ApiKey) -> wire::ApiKey {
    wire::ApiKey {
        id: key.id.to_string(),
        company_id: key.company.to_string(),
        name: key.name.clone(),
        is_enabled: key.is_enabled,
        source: match key.source.as_str() {
            "DASHBOARD" => ApiKeySource::Dashboard,
            "CLI" => ApiKeySource::Cli,
            _ => ApiKeySource::External,
        },
        masked_token: key.masked_token.clone(),
        roles: key.roles.iter().map(|role| show_role(*role)).collect(),
        capabilities: show_capabilities(&key.capabilities),
        last_used_at: key.last_used_at.map(|at| at.to_string()),
        expired_at: key.expired_at.clone(),
        old_token_expired_at: key.old_token_expired_at.map(|at| at.to_string()),
        created_at: key.created_at.to_string(),
        updated_at: key.updated_at.to_string(),
    }
}

pub fn show_capabilities(capabilities: &[Capability]) -> Vec<ApiKeyCapability> {
    let show = |held: &Capability| ApiKeyCapability {
        id: held.id.to_string(),
        permission: held.permission.clone(),
        id_resource: held.id_resource.clone(),
    };
    capabilities.iter().map(show).collect()
}

fn show_role(role: Role) -> ApiKeyRoleRef {
    ApiKeyRoleRef {
        id: role.id().to_string(),
        name: role.as_str().to_owned(),
        description: role.description().to_owned(),
    }
}
