//! Paths within a repository. They are joined to a folder that holds what others wrote, so they lead nowhere else.

use crate::check;
use crate::error::ApiError;

/// Longest path, in characters.
const LONGEST: usize = 1024;

/// A folder; the repository itself is `""`.
pub fn folder(field: &str, text: &str) -> Result<String, ApiError> {
    relative(field, text)
}

/// A folder; where it starts from is `.`.
pub fn context(field: &str, text: &str) -> Result<String, ApiError> {
    let path = relative(field, text)?;
    Ok(if path.is_empty() { ".".to_owned() } else { path })
}

/// A file.
pub fn file(field: &str, text: &str) -> Result<String, ApiError> {
    let path = relative(field, text)?;
    match path.is_empty() || text.ends_with('/') {
        true => Err(ApiError::invalid(field, "it is a folder; write the path of a file, such as Dockerfile")),
        false => Ok(path),
    }
}

/// The path without `.` and doubled slashes.
fn relative(field: &str, text: &str) -> Result<String, ApiError> {
    check::name(field, text, 1, LONGEST)?;
    let refused = |problem: &str| Err(ApiError::invalid(field, problem));
    if text.starts_with('/') {
        return refused(
            "it begins with a slash; write it relative, such as web or . for the repository itself",
        );
    }
    if text.contains('\\') {
        return refused("it holds a backslash; parts are separated by slashes");
    }
    let parts: Vec<_> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return refused("it leads out of its folder by ..");
    }
    match parts.first().is_some_and(|part| part.starts_with('-')) {
        true => refused("it begins with a dash, which programs take for an option"),
        false => Ok(parts.join("/")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_within_the_repository() {
        for (text, expected) in
            [(".", ""), ("web", "web"), ("./web/", "web"), ("a//b/./c", "a/b/c"), ("a/-b", "a/-b")]
        {
            assert_eq!(folder("f", text).unwrap(), expected, "{text}");
        }
        assert_eq!(context("f", "./").unwrap(), ".");
        assert_eq!(file("f", "./docker/Dockerfile").unwrap(), "docker/Dockerfile");
        for bad in [
            "",
            "/",
            "/etc",
            "..",
            "a/../..",
            "a/..",
            "-f",
            "./-f",
            "a\\b",
            "a\0b",
            "a\nb",
            &"a".repeat(1025),
        ] {
            assert!(folder("f", bad).is_err(), "{bad:?}");
            assert!(file("f", bad).is_err(), "{bad:?}");
        }
        for bad in [".", "docker/"] {
            assert!(file("f", bad).is_err(), "{bad:?}");
        }
    }
}
