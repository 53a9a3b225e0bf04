//! GitHub, and Gitea and Forgejo, which send the same with a few fields more (docs.github.com, "Webhook events and
//! payloads", push; docs.gitea.com, "Webhooks").

use serde::Deserialize;

use super::listed::{self, Listed};
use super::{Name, Push, commit, is_new};

/// GitHub lists no more commits than that.
const MOST_COMMITS: usize = 2048;

#[derive(Deserialize)]
pub struct Payload {
    #[serde(rename = "ref")]
    reference: String,
    /// Zeros when it is new.
    before: Option<String>,
    /// Zeros when it was deleted.
    after: String,
    #[serde(default)]
    forced: bool,
    commits: Option<Vec<Listed>>,
    head_commit: Option<Listed>,
    /// How many there are; only Gitea says it, and lists fewer.
    total_commits: Option<usize>,
    repository: Repository,
}

#[derive(Deserialize)]
struct Repository {
    html_url: Option<String>,
    clone_url: Option<String>,
    ssh_url: Option<String>,
    default_branch: Option<String>,
}

/// What was pushed.
pub fn push(payload: Payload) -> Push {
    let Payload { reference, before, after, forced, commits, head_commit, total_commits, repository } =
        payload;
    let commits = commits.unwrap_or_default();
    let head = head_commit.as_ref().or_else(|| commits.iter().find(|listed| listed.id == after));
    let message = head.and_then(|head| head.message.as_deref());
    let commit = commit(&after, message, head.and_then(Listed::author));
    let before = before.as_deref().and_then(super::before);
    // Of what a forced push took away nothing is listed; Gitea does not say that it was forced. Nor is it known what a
    // branch that is new changes in what serves.
    let is_whole = !forced
        && !is_new(before.as_deref())
        && !commits.is_empty()
        && commits.len() < MOST_COMMITS
        && total_commits.is_none_or(|total| total <= commits.len());
    let Repository { html_url, clone_url, ssh_url, default_branch } = repository;
    Push {
        name: Name::of_reference(&reference),
        before,
        commit,
        default_branch,
        addresses: [html_url, clone_url, ssh_url].into_iter().flatten().collect(),
        paths: is_whole.then(|| listed::paths(commits)).flatten(),
    }
}
