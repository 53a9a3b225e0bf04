//! Variables that a build writes into what browsers get.

use super::super::{NotMade, Repository};

/// Files in which projects show the variables that they want, without real values.
const SAMPLES: [&str; 3] = [".env.example", ".env.sample", ".env.template"];

/// How frameworks tell variables for browsers from all others.
const PREFIXES: [&str; 7] =
    ["VITE_", "REACT_APP_", "NEXT_PUBLIC_", "NUXT_PUBLIC_", "PUBLIC_", "GATSBY_", "VUE_APP_"];

const MOST: usize = 50;

/// The names of those that a project shows: each becomes an `ARG`, so that the application's variable of that name
/// takes part in the build.
pub fn variables(repository: &Repository) -> Result<Vec<String>, NotMade> {
    let mut names = Vec::new();
    for file in SAMPLES {
        let text = repository.read(file)?.unwrap_or_default();
        let keys = text.lines().filter_map(|line| line.split_once('=')).map(|(key, _)| key.trim());
        let keys = keys.map(|key| key.strip_prefix("export ").unwrap_or(key));
        names.extend(keys.filter(|key| is_public(key)).map(str::to_owned));
    }
    names.sort();
    names.dedup();
    names.truncate(MOST);
    Ok(names)
}

fn is_public(key: &str) -> bool {
    let is_part =
        |character: char| character.is_ascii_uppercase() || character.is_ascii_digit() || character == '_';
    key.len() <= 100 && key.chars().all(is_part) && PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}
