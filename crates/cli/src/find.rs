//! From the name that a person knows to the record.

use client::Client;
use wire::{ApplicationListItem, DockerRegistry, GitCredential, Process, ProcessType};

use crate::failure::Failure;

/// The application of this name, if there is one.
pub async fn application(client: &Client, name: &str) -> Result<Option<ApplicationListItem>, Failure> {
    Ok(client.applications().await?.into_iter().find(|application| application.name == name))
}

/// The application of this name.
pub async fn existing(client: &Client, name: &str) -> Result<ApplicationListItem, Failure> {
    application(client, name).await?.ok_or_else(|| {
        Failure::new(format!("there is no application named {name}"))
            .hint("`darsena apps list` shows those there are")
    })
}

/// The web process of an application.
pub async fn web_process(client: &Client, application: &str) -> Result<Option<Process>, Failure> {
    Ok(client
        .processes(application)
        .await?
        .into_iter()
        .find(|process| process.kind == Some(ProcessType::Web)))
}

/// The names of the applications; an id whose application is gone meanwhile stays an id.
pub async fn names_of(client: &Client, ids: &[String]) -> Result<String, Failure> {
    if ids.is_empty() {
        return Ok("-".to_owned());
    }
    let known = client.applications().await?;
    let name = |id: &String| known.iter().find(|application| application.id == *id).map(|found| &found.name);
    let names: Vec<&str> = ids.iter().map(|id| name(id).unwrap_or(id).as_str()).collect();
    Ok(names.join(", "))
}

/// The registry credential of this id or name.
pub async fn credential(client: &Client, text: &str) -> Result<DockerRegistry, Failure> {
    let all = client.registries().await?;
    let known = all.into_iter().map(|credential| Named {
        id: credential.id.clone(),
        name: credential.name.clone(),
        detail: credential.username.clone(),
        record: credential,
    });
    one(known.collect(), text, "registry credential", "darsena registries list")
}

/// The Git credential of this id or name.
pub async fn git_credential(client: &Client, text: &str) -> Result<GitCredential, Failure> {
    let all = client.git_credentials().await?;
    let known = all.into_iter().map(|credential| Named {
        id: credential.id.clone(),
        name: credential.name.clone(),
        detail: credential.host.clone(),
        record: credential,
    });
    one(known.collect(), text, "Git credential", "darsena git-credentials list")
}

struct Named<T> {
    id: String,
    name: String,
    /// What tells two of one name apart.
    detail: String,
    record: T,
}

fn one<T>(mut all: Vec<Named<T>>, text: &str, kind: &str, list: &str) -> Result<T, Failure> {
    if let Some(place) = all.iter().position(|named| named.id == text) {
        return Ok(all.swap_remove(place).record);
    }
    all.retain(|named| named.name == text);
    match all.len() {
        1 => Ok(all.swap_remove(0).record),
        0 => Err(Failure::new(format!("there is no {kind} named {text}"))
            .hint(format!("`{list}` shows those there are"))),
        count => Err(Failure::new(format!("{count} {kind}s are named {text}"))
            .hint("name it by its id:")
            .details(all.iter().map(|named| format!("  {}  {}", named.id, named.detail)))),
    }
}

/// How to call the credential of this id, for a record. One that was removed has its id only, and so has one that
/// the caller may not see.
pub async fn credential_of(client: &Client, id: &Option<String>) -> Result<String, Failure> {
    let Some(id) = id else { return Ok("none".to_owned()) };
    called(id, client.registry(id).await.map(|credential| credential.name))
}

/// The same for a Git credential.
pub async fn git_credential_of(client: &Client, id: &Option<String>) -> Result<String, Failure> {
    let Some(id) = id else { return Ok("none".to_owned()) };
    called(id, client.git_credential(id).await.map(|credential| credential.name))
}

fn called(id: &str, name: Result<String, client::Error>) -> Result<String, Failure> {
    name.or_else(|error| match error.refusal().map(|refusal| refusal.status) {
        Some(404) => Ok(format!("{id} (removed)")),
        Some(403) => Ok(id.to_owned()),
        _ => Err(error.into()),
    })
}
