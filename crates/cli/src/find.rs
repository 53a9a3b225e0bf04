//! From the name that a person knows to the record.

use client::Client;
use wire::{ApplicationListItem, DockerRegistry, Process, ProcessType};

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

/// The registry credential of this id or name.
pub async fn credential(client: &Client, text: &str) -> Result<DockerRegistry, Failure> {
    let mut all = client.registries().await?;
    if let Some(place) = all.iter().position(|credential| credential.id == text) {
        return Ok(all.swap_remove(place));
    }
    all.retain(|credential| credential.name == text);
    match all.len() {
        1 => Ok(all.swap_remove(0)),
        0 => Err(Failure::new(format!("there is no registry credential named {text}"))
            .hint("`darsena registries list` shows those there are")),
        count => Err(Failure::new(format!("{count} registry credentials are named {text}"))
            .hint("name it by its id:")
            .details(all.iter().map(|credential| format!("  {}  {}", credential.id, credential.username)))),
    }
}

/// How to call the credential of this id, for a record. One that was removed has its id only, and so has one that
/// the caller may not see.
pub async fn credential_of(client: &Client, id: &Option<String>) -> Result<String, Failure> {
    let Some(id) = id else { return Ok("none".to_owned()) };
    match client.registry(id).await {
        Ok(credential) => Ok(credential.name),
        Err(error) => match error.refusal().map(|refusal| refusal.status) {
            Some(404) => Ok(format!("{id} (removed)")),
            Some(403) => Ok(id.clone()),
            _ => Err(error.into()),
        },
    }
}
