//! Making an application's environment variables what a person asked for.

use client::Client;
use wire::*;

use crate::failure::Failure;
use crate::pair::Pair;

/// Who gets a variable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Use {
    /// Whoever got it before, and the application; a new one goes to the build, too.
    #[default]
    Kept,
    /// Only the build.
    Build,
    /// Only the application.
    Runtime,
}

impl Use {
    /// `is_runtime` and `is_buildtime`, for a variable that is there already or for a new one; `None` is left as it is.
    fn flags(self, known: Option<&EnvVar>) -> (Option<bool>, Option<bool>) {
        match (self, known) {
            (Use::Kept, None) => (None, None),
            (Use::Kept, Some(_)) => (Some(true), None),
            (Use::Build, _) => (Some(false), Some(true)),
            (Use::Runtime, _) => (Some(true), Some(false)),
        }
    }
}

/// Creates what is missing and changes what differs; other variables stay. Gives the keys that changed.
pub async fn set(
    client: &Client,
    application: &str,
    pairs: &[Pair],
    usage: Use,
) -> Result<Vec<String>, Failure> {
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    let known = client.env_vars(application).await?;
    let mut changed = Vec::new();
    for pair in pairs {
        let variable = known.iter().find(|variable| variable.key == pair.key);
        let (is_runtime, is_buildtime) = usage.flags(variable);
        match variable {
            Some(variable) if is_so(variable, pair, is_runtime, is_buildtime) => continue,
            Some(variable) => {
                let value = Some(pair.value.clone());
                let body = UpdateEnvVar { value, is_runtime, is_buildtime, ..Default::default() };
                client.update_env_var(application, &variable.id, &body).await?;
            }
            None => {
                let (key, value) = (pair.key.clone(), pair.value.clone());
                let body = CreateEnvVar { key, value, is_runtime, is_buildtime };
                client.create_env_var(application, &body).await?;
            }
        }
        changed.push(pair.key.clone());
    }
    Ok(changed)
}

/// A flag that the server leaves open counts as true.
fn is_so(variable: &EnvVar, pair: &Pair, is_runtime: Option<bool>, is_buildtime: Option<bool>) -> bool {
    let same =
        |wanted: Option<bool>, has: Option<bool>| wanted.is_none_or(|wanted| wanted == has.unwrap_or(true));
    variable.value == pair.value
        && same(is_runtime, variable.is_runtime)
        && same(is_buildtime, variable.is_buildtime)
}

/// Who gets a variable, in words.
pub fn used_by(variable: &EnvVar) -> &'static str {
    match (variable.is_runtime.unwrap_or(true), variable.is_buildtime.unwrap_or(true)) {
        (true, true) => "build, application",
        (true, false) => "application",
        (false, true) => "build",
        (false, false) => "nobody",
    }
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
