//! What Git servers tell of pushes: who says it, what was pushed, and what the application makes of it.
//!
//! A payload is read only after its signature was found to be right, and even then it decides nothing but which commit
//! of the application's own repository and branch is deployed.

use http::{HeaderMap, header};
use model::Kept;
use model::git::{Commit, GitSource, Revision, is_commit_id};
use serde::de::DeserializeOwned;

use crate::error::ApiError;
use crate::rules::application::get;

mod bitbucket;
pub mod filter;
mod github;
mod gitlab;
mod listed;
mod repository;
pub mod signature;

/// Longest message and name of an author that are kept, in characters.
const LONGEST_MESSAGE: usize = 1000;
const LONGEST_AUTHOR: usize = 200;
/// Longest name of an event that is shown, in characters.
const LONGEST_EVENT: usize = 60;

/// What a Git server says.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// One for each branch and tag that was pushed.
    Pushes(Vec<Push>),
    /// Something else, with its name.
    Other(String),
}

/// A branch or tag was pushed.
#[derive(Debug, PartialEq)]
pub struct Push {
    pub name: Name,
    /// Where it stood before, zeros when it is new; `None`: the server does not say.
    pub before: Option<String>,
    /// Where it stands now; `None`: it was deleted.
    pub commit: Option<Commit>,
    /// The repository's own, where the server names it.
    pub default_branch: Option<String>,
    /// Addresses of the repository.
    pub addresses: Vec<String>,
    /// Every path that was added, changed or removed; `None`: the server lists none or not all of them.
    pub paths: Option<Vec<String>>,
}

/// What was pushed.
#[derive(Debug, PartialEq)]
pub enum Name {
    Branch(String),
    /// A tag, or what is neither.
    Other(String),
}

impl Name {
    /// From the full name of a reference, as `refs/heads/main`.
    fn of_reference(text: &str) -> Self {
        match text.strip_prefix("refs/heads/") {
            Some(name) => Name::Branch(name.to_owned()),
            None => Name::Other(text.to_owned()),
        }
    }
}

/// Reads what a Git server sent. The headers say which one it is: Gitea sends those of GitHub as well.
pub fn event(headers: &HeaderMap, body: &[u8]) -> Result<Event, ApiError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let github = text("x-gitea-event").or(text("x-forgejo-event")).or(text("x-github-event"));
    match (github, text("x-gitlab-event"), text("x-event-key")) {
        (Some("push"), ..) => Ok(Event::Pushes(vec![github::push(payload(headers, body)?)])),
        (None, Some("Push Hook"), _) => Ok(Event::Pushes(vec![gitlab::push(payload(headers, body)?)])),
        (None, None, Some("repo:push")) => Ok(Event::Pushes(bitbucket::pushes(payload(headers, body)?))),
        (Some(other), ..) | (None, Some(other), _) | (None, None, Some(other)) => {
            Ok(Event::Other(shown(other)))
        }
        (None, None, None) => Err(ApiError::bad_request(
            "validation_failed",
            "No header says which event this is: X-GitHub-Event, X-Gitea-Event, X-Gitlab-Event or X-Event-Key.",
        )),
    }
}

/// The JSON of a payload, which GitHub sends as the field of a form unless told otherwise.
fn payload<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let field = match kind.starts_with("application/x-www-form-urlencoded") {
        true => url::form_urlencoded::parse(body).find(|(name, _)| name == "payload"),
        false => None,
    };
    let body = field.as_ref().map_or(body, |(_, value)| value.as_bytes());
    serde_json::from_slice(body).map_err(|error| {
        let message = "The body is not what this event has.";
        ApiError::bad_request("validation_failed", message).with_detail(error.to_string())
    })
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(LONGEST_EVENT).collect()
}

/// A commit as it is kept; `None` when the id is none, or that of a deletion.
fn commit(id: &str, message: Option<&str>, author: Option<&str>) -> Option<Commit> {
    let id = id.to_ascii_lowercase();
    let is_one = is_commit_id(&id) && !is_nothing(&id);
    let cut = |text: Option<&str>, most| text.unwrap_or_default().chars().take(most).collect();
    is_one.then(|| Commit {
        id,
        branch: None,
        message: cut(message, LONGEST_MESSAGE),
        author: cut(author, LONGEST_AUTHOR),
    })
}

/// Where a branch stood, as it is kept; what is no commit id is nothing.
fn before(id: &str) -> Option<String> {
    Some(id.to_ascii_lowercase()).filter(|id| is_commit_id(id))
}

/// Whether the branch was made by this push, maybe after it was deleted.
fn is_new(before: Option<&str>) -> bool {
    before.is_some_and(is_nothing)
}

/// The id that stands for no commit.
fn is_nothing(id: &str) -> bool {
    id.bytes().all(|digit| digit == b'0')
}

/// What an application wants to hear of.
pub struct Wanted<'a> {
    pub url: &'a str,
    /// `None`: the repository's default branch.
    pub branch: Option<&'a str>,
    pub is_on: bool,
    pub allow: Vec<String>,
    pub ignore: Vec<String>,
}

impl<'a> Wanted<'a> {
    pub fn of(git: &'a GitSource, kept: &Kept) -> Self {
        Self {
            url: &git.url,
            branch: git.branch.as_deref(),
            is_on: get(kept, "auto_deploy").unwrap_or(false),
            allow: get(kept, "allow_deploy_paths").unwrap_or_default(),
            ignore: get(kept, "ignore_deploy_paths").unwrap_or_default(),
        }
    }
}

/// What becomes of an event.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    Deploy {
        revision: Revision,
        commit: Commit,
        /// Where the branch stood before.
        before: Option<String>,
    },
    /// Why nothing is deployed, for whoever reads the log of the Git server.
    Ignored(String),
}

/// What an application makes of pushes: of several the first one that concerns it counts.
pub fn decide(wanted: &Wanted<'_>, pushes: Vec<Push>) -> Verdict {
    if !wanted.is_on {
        return Verdict::Ignored("auto_deploy of the application is off".to_owned());
    }
    let mut first_reason = None;
    for push in pushes {
        match deployed(wanted, push) {
            Ok(verdict) => return verdict,
            Err(reason) => first_reason = first_reason.or(Some(reason)),
        }
    }
    Verdict::Ignored(first_reason.unwrap_or_else(|| "nothing was pushed".to_owned()))
}

fn deployed(wanted: &Wanted<'_>, push: Push) -> Result<Verdict, String> {
    if !repository::is_one_of(wanted.url, &push.addresses) {
        return Err("it is another repository than the application's".to_owned());
    }
    let name = match push.name {
        Name::Branch(name) => name,
        Name::Other(name) => return Err(format!("{:?} is no branch", shown(&name))),
    };
    let branch = wanted.branch.or(push.default_branch.as_deref()).ok_or_else(|| {
        "the application names no branch, and the Git server does not say which one is the default; set default_branch"
            .to_owned()
    })?;
    if name != branch {
        return Err(format!("the branch is {:?}, the application deploys {branch:?}", shown(&name)));
    }
    let mut commit = push.commit.ok_or_else(|| format!("the branch {branch:?} was deleted"))?;
    if let Some(paths) = &push.paths
        && !filter::deploys(&wanted.allow, &wanted.ignore, paths)
    {
        return Err("no path that deploys was changed".to_owned());
    }
    let revision = Revision::Commit { id: commit.id.clone(), branch: Some(name.clone()) };
    revision.check().map_err(|error| error.to_string())?;
    commit.branch = Some(name);
    Ok(Verdict::Deploy { revision, commit, before: push.before })
}

#[cfg(test)]
mod tests;
