//! Holds what ARCHITECTURE.md says about the repository: which crate may know which, and that the paths it
//! names exist.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Crate to the crates of ours that it may depend on, tests aside.
const MAY_KNOW: [(&str, &[&str]); 15] = [
    ("model", &[]),
    ("wire", &[]),
    ("testkit", &[]),
    ("hello", &[]),
    ("failpoint", &[]),
    ("store", &["model"]),
    ("image", &["model", "failpoint"]),
    ("engine", &["model", "failpoint"]),
    ("ingress", &["model"]),
    ("build", &["model", "failpoint"]),
    ("deploy", &["model", "store", "image", "engine", "ingress", "build", "failpoint"]),
    ("api", &["model", "store", "wire"]),
    ("client", &["wire"]),
    ("cli", &["client", "wire"]),
    ("darsena", &["api", "build", "cli", "deploy", "engine", "image", "ingress", "model", "store"]),
];

/// Writes Dockerfiles and starts nothing: where one says `RUN` without brackets, the image's own shell is meant
/// (Dockerfile reference, "SHELL").
const WRITES_FOR_IMAGES: &str = "crates/build/src/dockerfile/";

/// A file longer than this wants a second look; tables and tests may stay.
const LONGEST_FILE: usize = 600;

#[test]
fn each_crate_knows_only_whom_it_may() {
    let allowed: BTreeMap<_, _> = MAY_KNOW.into_iter().collect();
    for folder in folders_of(&root().join("crates")) {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let may_know =
            allowed.get(name.as_str()).unwrap_or_else(|| panic!("tidy.rs does not know the crate {name}"));
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let dependencies = section(&manifest, "[dependencies]");
        for known in dependencies.lines().filter_map(|line| line.split(['.', ' ', '=']).next()) {
            let is_ours = allowed.contains_key(known);
            assert!(!is_ours || may_know.contains(&known), "{name} must not depend on {known}");
        }
    }
}

#[test]
fn the_documents_name_paths_that_exist() {
    for document in ["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        for quoted in text.split('`').skip(1).step_by(2) {
            let is_path = ["crates/", "tests/", "scripts/", "docs/", "api/"]
                .iter()
                .any(|start| quoted.starts_with(start));
            if is_path && !quoted.contains([' ', '*', '{']) {
                assert!(root().join(quoted).exists(), "{document} names {quoted}, which does not exist");
            }
        }
    }
}

#[test]
fn files_stay_small() {
    let mut long = Vec::new();
    for folder in folders_of(&root().join("crates")) {
        visit(&folder.join("src"), &mut |path, text| {
            let lines = text.lines().count();
            if lines > LONGEST_FILE {
                long.push(format!("{} ({lines})", path.display()));
            }
        });
    }
    assert!(long.is_empty(), "look for a seam in: {}", long.join(", "));
}

#[test]
fn the_product_starts_no_shell() {
    for folder in folders_of(&root().join("crates")) {
        visit(&folder.join("src"), &mut |path, text| {
            if path.starts_with(root().join(WRITES_FOR_IMAGES)) {
                return;
            }
            for shell in ["\"sh\"", "\"bash\"", "\"/bin/sh\"", "\"/bin/bash\""] {
                assert!(!text.contains(shell), "{} names the shell {shell}", path.display());
            }
        });
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn folders_of(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.join("Cargo.toml").exists()).collect()
}

fn section<'a>(manifest: &'a str, header: &str) -> &'a str {
    let start = manifest.find(header).map_or(manifest.len(), |at| at + header.len());
    let rest = &manifest[start..];
    &rest[..rest.find("\n[").unwrap_or(rest.len())]
}

fn visit(folder: &Path, look: &mut dyn FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, look);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            look(&path, &fs::read_to_string(&path).unwrap());
        }
    }
}
