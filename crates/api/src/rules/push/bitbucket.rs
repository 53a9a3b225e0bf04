//! Bitbucket Cloud (support.atlassian.com, "Event payloads", repo:push). It lists no paths.

use serde::Deserialize;

use super::{Name, Push, before, commit};

#[derive(Deserialize)]
pub struct Payload {
    push: Changes,
    repository: Repository,
}

#[derive(Deserialize)]
struct Changes {
    changes: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    /// `null` when it was deleted.
    new: Option<State>,
    /// `null` when it is new.
    old: Option<State>,
}

#[derive(Deserialize)]
struct State {
    /// `branch`, `tag` and others.
    #[serde(rename = "type")]
    kind: String,
    name: String,
    target: Target,
}

#[derive(Deserialize)]
struct Target {
    hash: String,
    message: Option<String>,
    author: Option<Author>,
}

#[derive(Deserialize)]
struct Author {
    /// `Name <address>`.
    raw: Option<String>,
    user: Option<User>,
}

#[derive(Deserialize)]
struct User {
    display_name: Option<String>,
}

#[derive(Deserialize)]
struct Repository {
    links: Links,
    mainbranch: Option<MainBranch>,
}

#[derive(Deserialize)]
struct Links {
    html: Link,
}

#[derive(Deserialize)]
struct Link {
    href: String,
}

#[derive(Deserialize)]
struct MainBranch {
    name: String,
}

/// What was pushed, one for each branch and tag.
pub fn pushes(payload: Payload) -> Vec<Push> {
    let Payload { push: Changes { changes }, repository } = payload;
    let default_branch = repository.mainbranch.map(|branch| branch.name);
    let address = repository.links.html.href;
    let push = |Change { new, old }: Change| {
        let commit = new.as_ref().and_then(|state| {
            let author = state.target.author.as_ref().and_then(name);
            commit(&state.target.hash, state.target.message.as_deref(), author)
        });
        let before = old.as_ref().and_then(|state| before(&state.target.hash));
        let State { kind, name, .. } = new.or(old)?;
        let name = if kind == "branch" { Name::Branch(name) } else { Name::Other(format!("{kind} {name}")) };
        Some(Push {
            name,
            before,
            commit,
            default_branch: default_branch.clone(),
            addresses: vec![address.clone()],
            paths: None,
        })
    };
    changes.into_iter().filter_map(push).collect()
}

fn name(author: &Author) -> Option<&str> {
    let shown = author.user.as_ref().and_then(|user| user.display_name.as_deref());
    shown.or_else(|| author.raw.as_deref().map(|raw| raw.split('<').next().unwrap_or_default().trim()))
}
