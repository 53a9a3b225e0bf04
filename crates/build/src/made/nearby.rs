//! Where in a repository an application may be when it is not where it was looked for.

use super::Repository;
use super::words::is_path;

/// Folders that are looked into.
const MOST_FOLDERS: usize = 50;
/// Places that are told.
const MOST_TOLD: usize = 5;

/// Files that say that a folder holds an application.
const SIGNS: [&str; 10] = [
    "Dockerfile",
    "composer.json",
    "index.php",
    "go.mod",
    "Cargo.toml",
    "requirements.txt",
    "pyproject.toml",
    "Pipfile",
    "package.json",
    "index.html",
];

/// Files one folder below that say more than what was found, and Dockerfiles of another name.
pub fn places(repository: &Repository) -> Vec<String> {
    let is_dockerfile = |name: &&String| name.starts_with("Dockerfile.") || name.ends_with(".Dockerfile");
    let names = repository.list(".");
    let other = names.iter().filter(is_dockerfile).filter(|name| is_path(name)).cloned();
    let folders = names.iter().filter(|name| is_path(name) && repository.has_folder(name)).take(MOST_FOLDERS);
    let below = folders.filter_map(|folder| {
        let paths = SIGNS.iter().map(|sign| format!("{folder}/{sign}"));
        paths.into_iter().find(|path| repository.has_file(path))
    });
    other.chain(below).take(MOST_TOLD).collect()
}
