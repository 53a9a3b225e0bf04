//! What a server says that a repository has: branches, tags, and which of them is the default (git-ls-remote(1)).

use model::Revision;
use model::git::is_commit_id;

use super::error::Cause;

/// A state of a repository that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Full id of the commit.
    pub id: String,
    /// Branch or tag that led to it.
    pub branch: Option<String>,
}

/// The branches of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Branches {
    /// `None` where the server does not say it: it has no commit, or points nowhere.
    pub default: Option<String>,
    /// In the alphabet's order, the default one first.
    pub names: Vec<String>,
}

/// Answer of `git ls-remote --symref`.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Branch that `HEAD` is, without `refs/heads/`.
    head: Option<String>,
    /// Full names with ids.
    refs: Vec<(String, String)>,
}

impl Listing {
    /// Reads lines `ID<TAB>NAME` and `ref: NAME<TAB>HEAD`. A line that is neither is left out.
    pub fn read(text: &str) -> Self {
        let mut listing = Self::default();
        for (first, name) in text.lines().filter_map(|line| line.split_once('\t')) {
            match first.strip_prefix("ref: ") {
                Some(target) if name == "HEAD" => {
                    listing.head = target.strip_prefix("refs/heads/").map(str::to_owned);
                }
                Some(_) => {}
                None if is_commit_id(first) => listing.refs.push((name.to_owned(), first.to_owned())),
                None => {}
            }
        }
        listing
    }

    fn id(&self, name: &str) -> Option<&str> {
        self.refs.iter().find(|(of, _)| of == name).map(|(_, id)| id.as_str())
    }

    /// The commit of a revision. A commit that is asked for by its id is believed to be there: servers do not list it.
    pub fn find(&self, revision: &Revision) -> Result<Found, Cause> {
        match revision {
            Revision::Default => {
                let id = self.id("HEAD").ok_or(Cause::Empty)?;
                Ok(Found { id: id.to_owned(), branch: self.head.clone() })
            }
            Revision::Named(name) => {
                let names = [
                    format!("refs/heads/{name}"),
                    format!("refs/tags/{name}^{{}}"),
                    format!("refs/tags/{name}"),
                ];
                let id = names.iter().find_map(|name| self.id(name));
                let found = id.map(|id| Found { id: id.to_owned(), branch: Some(name.clone()) });
                found.ok_or_else(|| Cause::RevisionNotFound {
                    what: format!("branch or tag {name:?}"),
                    near: Vec::new(),
                })
            }
            Revision::Commit { id, branch } => Ok(Found { id: id.clone(), branch: branch.clone() }),
        }
    }

    pub fn branches(&self) -> Branches {
        let mut names: Vec<String> = self
            .refs
            .iter()
            .filter_map(|(name, _)| name.strip_prefix("refs/heads/"))
            .map(str::to_owned)
            .collect();
        names.sort();
        if let Some(at) = self.head.as_ref().and_then(|head| names.iter().position(|name| name == head)) {
            let head = names.remove(at);
            names.insert(0, head);
        }
        Branches { default: self.head.clone(), names }
    }
}

/// What to ask a server for, to find a revision.
pub(super) fn patterns(revision: &Revision) -> Vec<String> {
    match revision {
        Revision::Named(name) => {
            vec![format!("refs/heads/{name}"), format!("refs/tags/{name}"), format!("refs/tags/{name}^{{}}")]
        }
        Revision::Default | Revision::Commit { .. } => vec!["HEAD".to_owned()],
    }
}

/// Names that a person may have meant, at most three.
pub(super) fn near(wanted: &str, names: &[String]) -> Vec<String> {
    let wanted = wanted.to_lowercase();
    let distance = |name: &str| {
        let name = name.to_lowercase();
        let is_part = name.contains(&wanted) || wanted.contains(&name);
        if is_part { 1 } else { edits(&wanted, &name) }
    };
    let mut near: Vec<(usize, &String)> =
        names.iter().take(2000).map(|name| (distance(name), name)).collect();
    near.retain(|(distance, _)| *distance <= 2);
    near.sort();
    near.into_iter().take(3).map(|(_, name)| format!("{name:?}")).collect()
}

/// How many letters must be added, removed or changed to make one word of another (Levenshtein).
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, a) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (index, b) in to.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[index + 1];
            row[index + 1] = changed.min(diagonal + 1).min(row[index] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    const C: &str = "cccccccccccccccccccccccccccccccccccccccc";

    fn listing() -> Listing {
        Listing::read(&format!(
            "ref: refs/heads/main\tHEAD\n{A}\tHEAD\n{A}\trefs/heads/main\n{B}\trefs/heads/v1\n\
             {C}\trefs/heads/x/refs/heads/v2\n{B}\trefs/tags/v1\n{B}\trefs/tags/v2\n{C}\trefs/tags/v2^{{}}\n\
             nonsense\trefs/heads/odd\nline\n"
        ))
    }

    #[test]
    fn a_branch_comes_before_a_tag_and_a_tag_leads_to_its_commit() {
        let listing = listing();
        let find = |revision: Revision| listing.find(&revision).map(|found| (found.id, found.branch));
        let named = |name: &str| Revision::Named(name.to_owned());
        assert_eq!(find(Revision::Default).unwrap(), (A.to_owned(), Some("main".to_owned())));
        assert_eq!(find(named("main")).unwrap().0, A);
        assert_eq!(find(named("v1")).unwrap().0, B);
        assert_eq!(find(named("v2")).unwrap().0, C);
        assert!(find(named("odd")).is_err());
        let commit = Revision::Commit { id: C.to_owned(), branch: None };
        assert_eq!(find(commit).unwrap(), (C.to_owned(), None));
        assert!(matches!(Listing::default().find(&Revision::Default), Err(Cause::Empty)));
    }

    #[test]
    fn the_default_branch_is_the_first() {
        let branches = listing().branches();
        assert_eq!(branches.default.as_deref(), Some("main"));
        assert_eq!(branches.names, ["main", "v1", "x/refs/heads/v2"]);
    }

    #[test]
    fn near_names_are_those_a_person_may_have_meant() {
        let names: Vec<String> = ["main", "master", "develop", "feature/login"].map(str::to_owned).into();
        assert_eq!(near("mian", &names), ["\"main\""]);
        assert_eq!(near("Login", &names), ["\"feature/login\""]);
        assert!(near("other", &names).is_empty());
    }
}
