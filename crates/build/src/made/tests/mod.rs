//! Repositories of every kind, as folders.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::dockerfile;

use super::{Bases, Made, NotMade, make};

mod cases;
mod hostile;
mod whole_texts;

/// A folder with some files, by path and text.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// What is made of some files. Whatever it is, it is a Dockerfile that will be understood, on official images alone.
fn made(files: &[(&str, &str)]) -> Result<Made, NotMade> {
    let made = make(folder(files).path(), &Bases::default())?;
    let plan = dockerfile::plan(&made.text, &dockerfile::Values::new());
    let plan = plan.unwrap_or_else(|invalid| panic!("{invalid:?} in:\n{}", made.text));
    for base in plan.bases() {
        let name = base.reference.to_string();
        assert!(name.starts_with("docker.io/library/") && !name.ends_with(":latest"), "{name}");
    }
    assert!(!plan.bases().is_empty());
    Ok(made)
}

/// The text for some files, which must be there.
fn text(files: &[(&str, &str)]) -> String {
    made(files).unwrap_or_else(|error| panic!("{error}")).text
}

#[test]
fn bases_come_from_the_registry_that_was_named() {
    let bases = Bases::at("registry.example.com:5000/hub").unwrap();
    let files =
        [("composer.json", "{}"), ("public/index.php", ""), ("package.json", r#"{"scripts":{"build":"x"}}"#)];
    let text = make(folder(&files).path(), &bases).unwrap().text;
    let from: Vec<_> = text.lines().filter(|line| line.starts_with("FROM")).collect();
    assert_eq!(
        from,
        [
            "FROM registry.example.com:5000/hub/node:24-slim AS assets",
            "FROM registry.example.com:5000/hub/composer:2.8 AS composer",
            "FROM registry.example.com:5000/hub/php:8.4-apache AS base",
            "FROM base AS vendor",
            "FROM base",
        ]
    );
}

#[test]
fn what_is_missing_is_said_with_what_was_looked_for() {
    let error = made(&[("README.md", ""), ("backend/go.mod", ""), ("Dockerfile.prod", "")]).unwrap_err();
    let words = error.to_string();
    for name in ["Dockerfile", "composer.json", "index.php", "go.mod", "Cargo.toml", "requirements.txt"] {
        assert!(words.contains(name), "{words}");
    }
    for name in ["pyproject.toml", "Pipfile", "manage.py", "package.json", "index.html"] {
        assert!(words.contains(name), "{words}");
    }
    let hint = error.hint();
    assert!(hint.contains("(there is Dockerfile.prod, backend/go.mod)"), "{hint}");
    assert!(hint.contains("--path") && hint.contains("--dockerfile-text"), "{hint}");
    assert_eq!(error.code().as_str(), "dockerfile_not_found");
}

#[test]
fn a_kind_that_lacks_something_says_what() {
    for (files, words) in [
        (&[("package.json", "{}")][..], "Node.js: package.json has no start script that serves"),
        (&[("requirements.txt", "requests")], "Python: nothing says what to start"),
        (&[("go.mod", "module m"), ("a.go", "package a")], "Go: there is no package main"),
        (&[("go.mod", "module m"), ("cmd/a/a.go", "package main"), ("cmd/b/b.go", "package main")], "(a, b)"),
        (&[("Cargo.toml", "[package]\nname='a'"), ("src/lib.rs", "")], "Rust: no package has src/main.rs"),
        (&[("composer.json", "{}")], "PHP: composer.json is here, but no index.php"),
        (
            &[(
                "package.json",
                r#"{"scripts":{"build":"x"},"devDependencies":{"@sveltejs/adapter-auto":"1","vite":"1"}}"#,
            )],
            "use @sveltejs/adapter-node",
        ),
    ] {
        let error = made(files).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_folder_that_is_not_there_is_said() {
    let error = make(Path::new("/nonexistent/folder"), &Bases::default()).unwrap_err();
    assert!(error.to_string().contains("the folder to build cannot be opened"), "{error}");
}
