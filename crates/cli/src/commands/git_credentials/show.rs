//! `darsena git-credentials list` and `show`.

use client::Client;
use wire::*;

use crate::ago::ago;
use crate::failure::Failure;
use crate::find;
use crate::output::Output;

/// What has no value.
const NONE: &str = "-";

/// `git-credentials list`.
pub async fn list(client: &Client, output: &Output) -> Result<(), Failure> {
    let credentials = client.git_credentials().await?;
    if output.json {
        return output.json(&credentials);
    }
    if credentials.is_empty() {
        output.note(
            "there are no Git credentials yet; `darsena git-credentials create --help` says how to make one",
        );
        return Ok(());
    }
    let rows = credentials.iter().map(|credential| {
        vec![
            credential.name.clone(),
            kind(credential.kind).to_owned(),
            credential.host.clone(),
            user(credential),
            moment(&credential.last_used_at),
            credential.used_by.len().to_string(),
        ]
    });
    output.table(&["NAME", "KIND", "HOST", "USER", "LAST USED", "APPS"], rows)
}

/// `git-credentials show`.
pub async fn show(client: &Client, name: &str, output: &Output) -> Result<(), Failure> {
    let credential = find::git_credential(client, name).await?;
    if output.json {
        return output.json(&credential);
    }
    let mut pairs = vec![
        ("name", credential.name.clone()),
        ("kind", kind(credential.kind).to_owned()),
        ("host", credential.host.clone()),
    ];
    match credential.kind {
        GitCredentialKind::Token => pairs.push(("user", user(&credential))),
        GitCredentialKind::DeployKey => {
            pairs.push(("public key", credential.public_key.clone().unwrap_or_else(|| NONE.to_owned())));
            pairs.extend(fingerprints(&credential).map(|line| ("host key", line)));
        }
    }
    pairs.extend([
        ("last used", moment(&credential.last_used_at)),
        ("used by", find::names_of(client, &credential.used_by).await?),
        ("created", credential.created_at.clone()),
        ("changed", credential.updated_at.clone()),
        ("id", credential.id.clone()),
    ]);
    output.record(&pairs)
}

/// The host keys as `ssh-ed25519 SHA256:...`, which is how servers publish them.
pub fn fingerprints(credential: &GitCredential) -> impl Iterator<Item = String> + '_ {
    credential.host_keys.iter().map(|host_key| {
        let algorithm = host_key.key.split(' ').next().unwrap_or_default();
        format!("{algorithm} {}", host_key.fingerprint)
    })
}

fn kind(kind: GitCredentialKind) -> &'static str {
    match kind {
        GitCredentialKind::Token => "token",
        GitCredentialKind::DeployKey => "key",
    }
}

fn user(credential: &GitCredential) -> String {
    credential.username.clone().filter(|user| !user.is_empty()).unwrap_or_else(|| NONE.to_owned())
}

fn moment(at: &Option<String>) -> String {
    at.as_deref().map_or("never".to_owned(), ago)
}
