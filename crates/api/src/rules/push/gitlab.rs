//! GitLab (docs.gitlab.com, "Webhook events", push events).

use serde::Deserialize;

use super::listed::{self, Listed};
use super::{Name, Push, commit, is_new};

#[derive(Deserialize)]
pub struct Payload {
    #[serde(rename = "ref")]
    reference: String,
    /// Zeros when it is new.
    before: Option<String>,
    /// Zeros when it was deleted.
    after: String,
    commits: Option<Vec<Listed>>,
    /// How many there are; at most twenty are listed.
    total_commits_count: Option<usize>,
    project: Project,
}

#[derive(Deserialize)]
struct Project {
    web_url: Option<String>,
    git_http_url: Option<String>,
    git_ssh_url: Option<String>,
    default_branch: Option<String>,
}

/// What was pushed.
pub fn push(payload: Payload) -> Push {
    let Payload { reference, before, after, commits, total_commits_count, project } = payload;
    let commits = commits.unwrap_or_default();
    let head = commits.iter().find(|listed| listed.id == after);
    let message = head.and_then(|head| head.message.as_deref());
    let commit = commit(&after, message, head.and_then(Listed::author));
    let before = before.as_deref().and_then(super::before);
    // GitLab does not say whether a push was forced, and lists nothing of what it took away.
    let is_whole =
        !is_new(before.as_deref()) && !commits.is_empty() && total_commits_count == Some(commits.len());
    let Project { web_url, git_http_url, git_ssh_url, default_branch } = project;
    Push {
        name: Name::of_reference(&reference),
        before,
        commit,
        default_branch,
        addresses: [web_url, git_http_url, git_ssh_url].into_iter().flatten().collect(),
        paths: is_whole.then(|| listed::paths(commits)).flatten(),
    }
}
