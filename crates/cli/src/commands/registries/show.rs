//! `darsena registries list` and `show`.

use client::Client;
use wire::*;

use crate::ago::ago;
use crate::failure::Failure;
use crate::find;
use crate::output::Output;
use crate::registry::Registry;

/// What has no value, or is not for the eyes of whoever asks.
const NONE: &str = "-";

/// `registries list`.
pub async fn list(client: &Client, output: &Output) -> Result<(), Failure> {
    let credentials = client.registries().await?;
    if output.json {
        return output.json(&credentials);
    }
    if credentials.is_empty() {
        output.note("there are no credentials yet; `darsena registries create --help` says how to make one");
        return Ok(());
    }
    let headings = ["NAME", "REGISTRY", "HOST", "USER", "STATUS", "LAST USED", "APPS"];
    output.table(&headings, credentials.iter().map(row))
}

fn row(credential: &DockerRegistry) -> Vec<String> {
    let details = credential.details.as_ref();
    vec![
        credential.name.clone(),
        Registry::of(credential).facts().word.to_owned(),
        host(credential),
        user(credential),
        details.map_or(NONE, |details| status(details.status)).to_owned(),
        details.map_or(NONE.to_owned(), |details| moment(&details.last_used_at)),
        details.map_or(NONE.to_owned(), |details| details.used_by.len().to_string()),
    ]
}

/// `registries show`.
pub async fn show(client: &Client, name: &str, output: &Output) -> Result<(), Failure> {
    let credential = find::credential(client, name).await?;
    if output.json {
        return output.json(&credential);
    }
    let details = credential.details.clone().unwrap_or_default();
    let seen = |text: String| if credential.details.is_some() { text } else { NONE.to_owned() };
    output.record(&[
        ("name", credential.name.clone()),
        ("registry", Registry::of(&credential).facts().word.to_owned()),
        ("host", host(&credential)),
        ("user", user(&credential)),
        ("status", seen(status(details.status).to_owned())),
        ("verified", seen(moment(&details.last_verified_at))),
        ("last used", seen(moment(&details.last_used_at))),
        ("used by", seen(find::names_of(client, &details.used_by).await?)),
        ("created", credential.created_at.clone()),
        ("changed", credential.updated_at.clone()),
        ("id", credential.id.clone()),
    ])
}

fn host(credential: &DockerRegistry) -> String {
    match &credential.details {
        Some(DockerRegistryDetails { host: Some(host), .. }) => host.clone(),
        Some(_) => "(of the image)".to_owned(),
        None => NONE.to_owned(),
    }
}

fn user(credential: &DockerRegistry) -> String {
    if credential.username.is_empty() { NONE.to_owned() } else { credential.username.clone() }
}

fn moment(at: &Option<String>) -> String {
    at.as_deref().map_or("never".to_owned(), ago)
}

fn status(status: DockerRegistryStatus) -> &'static str {
    match status {
        DockerRegistryStatus::Unverified => "unverified",
        DockerRegistryStatus::Valid => "valid",
        DockerRegistryStatus::Rejected => "rejected",
    }
}
