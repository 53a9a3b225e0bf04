//! `darsena registries verify`.

use client::Client;
use wire::{DockerRegistry, DockerRegistryStatus, DockerRegistryVerification};

use super::login;
use crate::failure::Failure;
use crate::find;
use crate::output::Output;
use crate::quote;
use crate::registry::Registry;

/// Fails unless the registry says yes.
pub async fn run(client: &Client, name: &str, output: &Output) -> Result<(), Failure> {
    let credential = find::credential(client, name).await?;
    let answer = client.verify_registry(&credential.id).await?;
    if output.json {
        output.json(&answer)?;
    }
    if answer.status != DockerRegistryStatus::Valid {
        return Err(rejected(&credential, &answer));
    }
    if output.json {
        return Ok(());
    }
    output.line(&format!("{} accepts {} ({})", answer.host, credential.username, credential.name))
}

fn rejected(credential: &DockerRegistry, answer: &DockerRegistryVerification) -> Failure {
    let name = &credential.name;
    // The server's words name the host.
    let words = answer.message.clone().unwrap_or_else(|| format!("{} does not accept it", answer.host));
    let hint = match &answer.hint {
        Some(hint) => hint.clone(),
        None => format!(
            "make a new token, then run `darsena registries update {} --new-token`",
            quote::word(name)
        ),
    };
    let cause = answer.code.as_ref().map(|code| format!("cause: {code}"));
    Failure::new(format!("{name} was rejected: {words}"))
        .hint(hint)
        .details(cause)
        .details(login::takes(Registry::of(credential)))
}
