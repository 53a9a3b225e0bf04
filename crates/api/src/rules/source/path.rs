//! Paths within a repository. They are joined to a folder that holds what others wrote, so they lead nowhere else.

use crate::check;
use crate::error::ApiError;

/// Longest path, in characters.
const LONGEST: usize = 1024;

/// A folder; the repository itself is `""`.
pub fn folder(field: &str, text: &str) -> Result<String, ApiError> {
    inside(field, parts(field, text)?)
}

/// A folder, from another one of the repository, which it may lie beside: `..` leads up, but not out of the repository.
/// Where it starts from is `.`.
pub fn context(field: &str, from: &str, text: &str) -> Result<String, ApiError> {
    let parts = parts(field, text)?;
    let mut depth = from.split('/').filter(|part| !part.is_empty()).count();
    for part in &parts {
        depth = match *part {
            ".." => depth.checked_sub(1).ok_or_else(|| {
                ApiError::invalid(field, "it leads out of the repository by ..; it starts at build_path")
            })?,
            _ => depth + 1,
        };
    }
    Ok(if parts.is_empty() { ".".to_owned() } else { parts.join("/") })
}

/// A file.
pub fn file(field: &str, text: &str) -> Result<String, ApiError> {
    let path = inside(field, parts(field, text)?)?;
    match path.is_empty() || text.ends_with('/') {
        true => Err(ApiError::invalid(field, "it is a folder; write the path of a file, such as Dockerfile")),
        false => Ok(path),
    }
}

fn inside(field: &str, parts: Vec<&str>) -> Result<String, ApiError> {
    match parts.contains(&"..") {
        true => Err(ApiError::invalid(field, "it leads out of its folder by ..")),
        false => Ok(parts.join("/")),
    }
}

/// The parts of a relative path without `.` and doubled slashes.
fn parts<'a>(field: &str, text: &'a str) -> Result<Vec<&'a str>, ApiError> {
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
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    match parts.first().is_some_and(|part| part.starts_with('-')) {
        true => refused("it begins with a dash, which programs take for an option"),
        false => Ok(parts),
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

    #[test]
    fn a_context_lies_beside_its_folder_but_within_the_repository() {
        for (from, text, expected) in [
            ("", "./", "."),
            ("web", "./src//", "src"),
            ("web", "..", ".."),
            ("web", "../shared/", "../shared"),
            ("apps/web", "../..", "../.."),
            ("", "a/..", "a/.."),
            ("web", "a/../../b", "a/../../b"),
        ] {
            assert_eq!(context("f", from, text).unwrap(), expected, "{from} {text}");
        }
        for (from, bad) in [
            ("", ".."),
            ("web", "../.."),
            ("web", "../../web"),
            ("web", "a/../../.."),
            ("apps/web", "../../../x"),
            ("web", "/etc"),
            ("web", "-f"),
            ("web", "..\\.."),
        ] {
            assert!(context("f", from, bad).is_err(), "{from} {bad:?}");
        }
    }
}
