//! A commit as GitHub, Gitea and GitLab list it.

use serde::Deserialize;

#[derive(Deserialize)]
pub struct Listed {
    pub id: String,
    pub message: Option<String>,
    author: Option<Author>,
    added: Option<Vec<String>>,
    removed: Option<Vec<String>>,
    modified: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Author {
    name: Option<String>,
}

impl Listed {
    pub fn author(&self) -> Option<&str> {
        self.author.as_ref()?.name.as_deref()
    }

    fn paths(self) -> Option<Vec<String>> {
        Some([self.added?, self.removed?, self.modified?].concat())
    }
}

/// The paths of all commits; `None` where a list is missing.
pub fn paths(commits: Vec<Listed>) -> Option<Vec<String>> {
    let each = commits.into_iter().map(Listed::paths).collect::<Option<Vec<_>>>();
    each.map(|lists| lists.concat())
}
