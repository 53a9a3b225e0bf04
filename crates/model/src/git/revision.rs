//! Which texts name a state of a repository. They travel to git as arguments and to servers as names, so what git
//! would not take as a name (git-check-ref-format(1)), or would take for an option, is refused here.

use super::Revision;

/// Longest name of a branch or tag, in bytes.
const LONGEST: usize = 250;

/// Why a text names no revision. The words say what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevisionError {
    #[error("the name of a branch or tag cannot be empty")]
    Empty,
    #[error("the name of a branch or tag has at most {LONGEST} characters")]
    TooLong,
    #[error("the name of a branch or tag cannot hold {0:?}")]
    Character(char),
    #[error("{0:?} is no name of a branch or tag: {1}")]
    Shape(String, &'static str),
    #[error("{0:?} is no commit id; it has 40 or 64 digits, 0 to 9 and a to f, and is not shortened")]
    Commit(String),
}

impl Revision {
    /// Reads what a person wrote: a full commit id, or else the name of a branch or tag.
    pub fn parse(text: &str) -> Result<Self, RevisionError> {
        let revision = match is_commit_id(text) {
            true => Self::Commit { id: text.to_owned(), branch: None },
            false => Self::Named(text.to_owned()),
        };
        revision.check()?;
        Ok(revision)
    }

    /// Whether every name in it is one. Nothing else may be asked of a Git server.
    pub fn check(&self) -> Result<(), RevisionError> {
        match self {
            Self::Default => Ok(()),
            Self::Named(name) => check_name(name),
            Self::Commit { id, branch } => {
                if !is_commit_id(id) {
                    return Err(RevisionError::Commit(shown(id)));
                }
                branch.as_deref().map_or(Ok(()), check_name)
            }
        }
    }
}

/// Whether a text is a full commit id: 40 (SHA-1) or 64 (SHA-256) lower-case hex digits.
pub fn is_commit_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Checks the name of a branch or tag, without `refs/heads/`.
fn check_name(name: &str) -> Result<(), RevisionError> {
    if name.is_empty() {
        return Err(RevisionError::Empty);
    }
    if name.len() > LONGEST {
        return Err(RevisionError::TooLong);
    }
    let is_bad = |c: &char| {
        c.is_control() || c.is_whitespace() || matches!(c, '~' | '^' | ':' | '?' | '*' | '[' | '\\')
    };
    if let Some(bad) = name.chars().find(is_bad) {
        return Err(RevisionError::Character(bad));
    }
    let shape = |why| Err(RevisionError::Shape(name.to_owned(), why));
    if name.starts_with('-') {
        return shape("it begins with a dash");
    }
    if name == "@" || name.contains("@{") {
        return shape("git gives \"@\" and \"@{\" a meaning of their own");
    }
    if name.contains("..") || name.ends_with('.') {
        return shape("it holds two dots, or ends with one");
    }
    for part in name.split('/') {
        if part.is_empty() {
            return shape("a part of it, between slashes, is empty");
        }
        if part.starts_with('.') || part.ends_with(".lock") {
            return shape("a part of it, between slashes, begins with a dot or ends with \".lock\"");
        }
    }
    Ok(())
}

/// The beginning of a text that can be anything.
fn shown(text: &str) -> String {
    text.chars().take(70).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn names_and_ids_are_told_apart() {
        let named = |name: &str| Ok(Revision::Named(name.to_owned()));
        for name in
            ["main", "feature/x-1", "v1.2.3", "ä", "a@b", "0123abc", "x.y/z", "100%", "HEAD", "a'b\"$(c)"]
        {
            assert_eq!(Revision::parse(name), named(name));
        }
        let commit = |id: &str| Ok(Revision::Commit { id: id.to_owned(), branch: None });
        assert_eq!(Revision::parse(ID), commit(ID));
        let long = format!("{ID}{}", &ID[..24]);
        assert_eq!(Revision::parse(&long), commit(&long));
        assert_eq!(Revision::parse(&ID.to_uppercase()), named(&ID.to_uppercase()));
    }

    #[test]
    fn what_git_would_not_take_as_a_name_is_refused() {
        for (name, words) in [
            ("", "cannot be empty"),
            ("--upload-pack=id", "begins with a dash"),
            ("-", "begins with a dash"),
            ("a b", "cannot hold ' '"),
            ("a\nb", "cannot hold '\\n'"),
            ("a\u{85}b", "cannot hold"),
            ("main~1", "cannot hold '~'"),
            ("main^{}", "cannot hold '^'"),
            ("a:b", "cannot hold ':'"),
            ("refs/heads/*", "cannot hold '*'"),
            ("a?b", "cannot hold '?'"),
            ("a[b", "cannot hold '['"),
            ("a\\b", "cannot hold '\\\\'"),
            ("@", "of their own"),
            ("main@{1}", "of their own"),
            ("a..b", "two dots"),
            ("main.", "two dots"),
            ("/main", "is empty"),
            ("main/", "is empty"),
            ("a//b", "is empty"),
            (".hidden", "begins with a dot"),
            ("a/.b", "begins with a dot"),
            ("main.lock", "\".lock\""),
            ("a.lock/b", "\".lock\""),
        ] {
            let error = Revision::parse(name).expect_err(name);
            assert!(error.to_string().contains(words), "{name:?}: {error}");
        }
        assert_eq!(Revision::parse(&"x".repeat(251)), Err(RevisionError::TooLong));
    }

    #[test]
    fn a_commit_id_is_full_and_its_branch_is_a_name() {
        let check = |id: &str, branch: Option<&str>| {
            Revision::Commit { id: id.to_owned(), branch: branch.map(str::to_owned) }.check()
        };
        assert_eq!(check(ID, Some("main")), Ok(()));
        assert!(matches!(check(&ID[..12], None), Err(RevisionError::Commit(_))));
        assert!(matches!(check("--output=/etc/passwd", None), Err(RevisionError::Commit(_))));
        assert!(matches!(check(ID, Some("-x")), Err(RevisionError::Shape(..))));
    }
}
