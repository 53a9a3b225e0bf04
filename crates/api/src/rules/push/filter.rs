//! Which changed paths deploy. A glob is one as in a shell: `*` and `?` stay within a folder, `**` does not. The name of a
//! folder stands for everything in it.

use globset::{Error, Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use model::Kept;

use crate::check;
use crate::error::ApiError;
use crate::rules::application::get;

/// So many globs, and each so many characters.
const MOST_GLOBS: usize = 100;
const LONGEST_GLOB: usize = 500;
/// Of a push that changes more paths than that nobody expects that nothing of it deploys, and they are not looked at.
const MOST_PATHS: usize = 20_000;

/// Refuses globs that are none.
pub fn check(kept: &Kept) -> Result<(), ApiError> {
    for field in ["allow_deploy_paths", "ignore_deploy_paths"] {
        let globs: Vec<String> = get(kept, field).unwrap_or_default();
        if globs.len() > MOST_GLOBS {
            return Err(ApiError::invalid(
                field,
                format!("it has {} globs, {MOST_GLOBS} are allowed", globs.len()),
            ));
        }
        for glob in &globs {
            check::name(field, glob, 1, LONGEST_GLOB)?;
            parts(glob).map_err(|error| {
                ApiError::invalid(field, format!("{glob:?} is no glob: {}", error.kind()))
            })?;
        }
    }
    Ok(())
}

/// Whether a push that changed these paths deploys. Without globs every push does; where no path is known, or there are
/// too many, it does too.
pub fn deploys(allow: &[String], ignore: &[String], paths: &[String]) -> bool {
    if paths.is_empty() || paths.len() > MOST_PATHS {
        return true;
    }
    let is_allowed = |allow: GlobSet| paths.iter().any(|path| allow.is_match(path));
    let is_ignored = |ignore: GlobSet| paths.iter().all(|path| ignore.is_match(path));
    set(allow).is_none_or(is_allowed) && !set(ignore).is_some_and(is_ignored)
}

/// `None` when there is no glob to match. They were checked when they were set; one that is none matches nothing.
fn set(globs: &[String]) -> Option<GlobSet> {
    let mut set = GlobSetBuilder::new();
    let globs: Vec<Glob> = globs.iter().filter_map(|glob| parts(glob).ok()).flatten().collect();
    if globs.is_empty() {
        return None;
    }
    for glob in globs {
        set.add(glob);
    }
    set.build().ok()
}

/// The glob itself, and everything below what it names.
fn parts(text: &str) -> Result<[Glob; 2], Error> {
    let text = text.trim_start_matches("./").trim_start_matches('/').trim_end_matches('/');
    let glob = |text: &str| GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build();
    Ok([glob(text)?, glob(&format!("{text}/**"))?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_paths(allow: &[&str], ignore: &[&str], paths: &[&str]) -> bool {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        deploys(&owned(allow), &owned(ignore), &owned(paths))
    }

    #[test]
    fn one_path_that_is_allowed_deploys() {
        for (glob, path, expected) in [
            ("src/**", "src/a/b.rs", true),
            ("src/*", "src/a.rs", true),
            ("src", "src/a/b.rs", true),
            ("src/", "src/a/b.rs", true),
            ("./src", "src/a", true),
            ("/src", "src/a", true),
            ("*.md", "README.md", true),
            ("*.md", "docs/README.md", false),
            ("**/*.md", "docs/README.md", true),
            ("{a,b}/c", "b/c", true),
            ("src", "source/a", false),
            ("src/**", "docs/src/a", false),
        ] {
            assert_eq!(check_paths(&[glob], &[], &[path]), expected, "{glob} {path}");
        }
        assert!(check_paths(&["src", "web"], &[], &["docs/a", "web/b"]));
    }

    #[test]
    fn nothing_but_ignored_paths_does_not_deploy() {
        assert!(!check_paths(&[], &["docs", "*.md"], &["docs/a", "README.md"]));
        assert!(check_paths(&[], &["docs", "*.md"], &["docs/a", "src/b"]));
    }

    #[test]
    fn what_is_not_known_deploys() {
        assert!(check_paths(&[], &[], &["a"]));
        assert!(check_paths(&["src"], &[], &[]));
        assert!(check_paths(&[], &["**"], &[]));
        assert!(check_paths(&[], &["**"], &vec!["a"; MOST_PATHS + 1]));
        assert!(!check_paths(&[], &["**"], &vec!["a"; MOST_PATHS]));
    }

    #[test]
    fn globs_that_are_none_are_refused() {
        let kept =
            |globs: serde_json::Value| Kept::from([("allow_deploy_paths".to_owned(), globs.to_string())]);
        assert!(check(&kept(serde_json::json!(["src/**", "[ab]*", "{a,b}"]))).is_ok());
        for bad in ["", "[", "{a", "a\u{0}", &"a".repeat(501)] {
            assert!(check(&kept(serde_json::json!([bad]))).is_err(), "{bad:?}");
        }
        assert!(check(&kept(serde_json::json!(vec!["a"; 101]))).is_err());
    }
}
