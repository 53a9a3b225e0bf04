//! Making an application's environment variables what a person asked for.

use client::Client;
use wire::*;

use crate::failure::Failure;
use crate::pair::Pair;

/// Creates what is missing and changes what differs; other variables stay. Gives the keys that changed.
pub async fn set(client: &Client, application: &str, pairs: &[Pair]) -> Result<Vec<String>, Failure> {
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    let known = client.env_vars(application).await?;
    let mut changed = Vec::new();
    for pair in pairs {
        match known.iter().find(|variable| variable.key == pair.key) {
            Some(variable) if variable.value == pair.value && variable.is_runtime != Some(false) => continue,
            Some(variable) => {
                let body = UpdateEnvVar {
                    value: Some(pair.value.clone()),
                    is_runtime: Some(true),
                    ..Default::default()
                };
                client.update_env_var(application, &variable.id, &body).await?;
            }
            None => {
                let body = CreateEnvVar {
                    key: pair.key.clone(),
                    value: pair.value.clone(),
                    is_runtime: None,
                    is_buildtime: None,
                };
                client.create_env_var(application, &body).await?;
            }
        }
        changed.push(pair.key.clone());
    }
    Ok(changed)
}

/// Removes variables. Nothing is removed when one of them is not there: a slip of the key should be seen.
pub async fn unset(client: &Client, application: &str, keys: &[String]) -> Result<(), Failure> {
    let known = client.env_vars(application).await?;
    let mut found = Vec::new();
    for key in keys {
        let variable = known.iter().find(|variable| variable.key == *key);
        found.push(variable.ok_or_else(|| Failure::new(format!("there is no variable {key}")))?);
    }
    for variable in found {
        client.delete_env_var(application, &variable.id).await?;
    }
    Ok(())
}
