//! Commits for people.

use wire::{Commit, Deployment};

/// A commit in one line: where it is, what it does, who made it.
pub fn words(commit: &Commit) -> String {
    let id = short(&commit.sha);
    let subject = commit.message.lines().next().unwrap_or_default();
    let on = commit.branch.as_ref().map(|branch| format!(" on {branch}")).unwrap_or_default();
    let by = if commit.author.is_empty() { String::new() } else { format!(" ({})", commit.author) };
    format!("{id}{on}  {subject}{by}").trim_end().to_owned()
}

/// The commit that a deployment builds, once it is known.
pub fn of(deployment: &Deployment) -> Option<Commit> {
    Some(Commit {
        sha: deployment.commit_sha.clone()?,
        branch: deployment.branch.clone(),
        message: deployment.commit_message.clone().unwrap_or_default(),
        author: deployment.author_login.clone().unwrap_or_default(),
    })
}

/// The first digits, enough to tell commits apart.
pub fn short(sha: &str) -> &str {
    sha.get(..12).unwrap_or(sha)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_one_line() {
        let whole = Commit {
            sha: "0123456789abcdef".into(),
            branch: Some("main".into()),
            message: "Add the menu\n\nLong story.".into(),
            author: "Ada".into(),
        };
        assert_eq!(words(&whole), "0123456789ab on main  Add the menu (Ada)");
        let bare = Commit { sha: "01".into(), branch: None, message: String::new(), author: String::new() };
        assert_eq!(words(&bare), "01");
    }
}
