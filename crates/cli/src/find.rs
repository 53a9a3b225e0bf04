//! From the name that a person knows to the record.

use client::Client;
use wire::{ApplicationListItem, Process, ProcessType};

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
