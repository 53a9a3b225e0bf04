//! Asking where files are (docs/api/batch.md).

use std::collections::HashMap;

use base64::Engine as _;
use model::GitUrl;
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::pointer::Pointer;
use super::web::Web;
use crate::git::clean::line;
use crate::git::error::Cause;
use crate::git::{Access, Remote};

/// Longest answer, in bytes.
const MOST: usize = 4 << 20;

/// Where a file is, and what to send for it.
#[derive(Debug, Deserialize)]
pub(super) struct Action {
    pub href: String,
    #[serde(default)]
    pub header: HashMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    objects: Vec<Object>,
}

#[derive(Debug, Deserialize)]
struct Object {
    oid: String,
    #[serde(default)]
    actions: Option<Actions>,
    #[serde(default)]
    error: Option<Refused>,
}

#[derive(Debug, Deserialize)]
struct Actions {
    download: Option<Action>,
}

#[derive(Debug, Deserialize)]
struct Refused {
    code: u16,
    #[serde(default)]
    message: String,
}

/// Asks the repository's own server for these files. Gives the answers by id.
pub(super) async fn ask<'a>(
    web: &Web<'_>,
    remote: &Remote,
    pointers: impl Iterator<Item = &'a Pointer>,
) -> Result<HashMap<String, Action>, Cause> {
    let objects: Vec<_> = pointers.map(|pointer| json!({"oid": pointer.id, "size": pointer.size})).collect();
    let body = json!({"operation": "download", "transfers": ["basic"], "objects": objects});
    let answer =
        web.post(&address(&remote.url)?, &authorization(&remote.access), body.to_string(), MOST).await?;
    let answer: Answer = serde_json::from_slice(&answer)
        .map_err(|_| Cause::Invalid("its server does not speak Git LFS".to_owned()))?;
    let mut actions = HashMap::new();
    for object in answer.objects {
        if let Some(Refused { code, message }) = object.error {
            let (id, message) = (line(&object.oid), line(&message));
            return Err(Cause::Invalid(format!(
                "its server does not give the LFS file {id}: {code} {message}"
            )));
        }
        if let Some(download) = object.actions.and_then(|actions| actions.download) {
            actions.insert(object.oid, download);
        }
    }
    Ok(actions)
}

/// Where a repository's server is asked (docs/api/server-discovery.md). What a repository says of it is not believed.
fn address(url: &GitUrl) -> Result<Url, Cause> {
    let text = url.to_string();
    let end = if text.ends_with(".git") { "" } else { ".git" };
    Url::parse(&format!("{text}{end}/info/lfs/objects/batch"))
        .map_err(|_| Cause::Invalid("its address is none for Git LFS".to_owned()))
}

fn authorization(access: &Access) -> HashMap<String, String> {
    let Access::Token { username, token } = access else { return HashMap::new() };
    let login = zeroize::Zeroizing::new(format!("{username}:{}", token.expose()));
    let login = base64::engine::general_purpose::STANDARD.encode(login.as_bytes());
    HashMap::from([("Authorization".to_owned(), format!("Basic {login}"))])
}
