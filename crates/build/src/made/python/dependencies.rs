//! What a project of Python depends on, in the four ways in which projects say so.

use std::collections::BTreeSet;

use toml::Table;

use super::super::{NotMade, Repository};

/// Dependencies by name, and what else the same files say.
#[derive(Debug, Default)]
pub struct Dependencies {
    /// As PEP 503 writes names: lower case, with dashes.
    names: BTreeSet<String>,
    /// FastAPI was asked for with what runs it: `fastapi[standard]`.
    pub fastapi_has_server: bool,
    /// Range of Python's versions.
    pub python: Option<String>,
    /// pyproject.toml lists dependencies (PEP 621), or Poetry's own table does.
    pub style: Style,
}

/// How pyproject.toml lists dependencies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    #[default]
    NoProject,
    Standard,
    Poetry,
}

impl Dependencies {
    pub fn read(repository: &Repository) -> Result<Self, NotMade> {
        let mut found = Self::default();
        if let Some(text) = repository.read("requirements.txt")? {
            text.lines().for_each(|line| found.add(line));
        }
        if let Some(project) = table(repository, "pyproject.toml")? {
            found.add_project(&project);
        }
        if let Some(pipfile) = table(repository, "Pipfile")? {
            let packages = pipfile.get("packages").and_then(|packages| packages.as_table());
            packages.into_iter().flat_map(Table::keys).for_each(|name| found.add(name));
            let python = pipfile.get("requires").and_then(|requires| requires.get("python_version"));
            found.python = found.python.or_else(|| python?.as_str().map(str::to_owned));
        }
        Ok(found)
    }

    pub fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// A line of requirements.txt, or a requirement of PEP 508.
    fn add(&mut self, requirement: &str) {
        let requirement = requirement.trim();
        let is_part = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
        let end = requirement.find(|character| !is_part(character)).unwrap_or(requirement.len());
        let name = requirement[..end].to_ascii_lowercase().replace(['_', '.'], "-");
        if name == "fastapi" {
            let extras = requirement[end..].trim_start();
            self.fastapi_has_server |= extras.starts_with("[standard") || extras.starts_with("[all");
        }
        if name.starts_with(|first: char| first.is_ascii_alphanumeric()) {
            self.names.insert(name);
        }
    }

    fn add_project(&mut self, pyproject: &Table) {
        if let Some(project) = pyproject.get("project").and_then(|project| project.as_table()) {
            self.style = Style::Standard;
            let listed = project.get("dependencies").and_then(|listed| listed.as_array());
            listed.into_iter().flatten().filter_map(|value| value.as_str()).for_each(|text| self.add(text));
            self.python = project.get("requires-python").and_then(|range| range.as_str()).map(str::to_owned);
        }
        let poetry = pyproject.get("tool").and_then(|tool| tool.get("poetry"));
        let listed =
            poetry.and_then(|poetry| poetry.get("dependencies")).and_then(|listed| listed.as_table());
        let Some(listed) = listed else { return };
        self.style = Style::Poetry;
        for (name, value) in listed {
            if name == "python" {
                self.python = value.as_str().map(str::to_owned);
            } else {
                self.add(name);
            }
        }
    }
}

fn table(repository: &Repository, file: &str) -> Result<Option<Table>, NotMade> {
    let Some(text) = repository.read(file)? else { return Ok(None) };
    let parsed = text.parse::<Table>();
    parsed.map(Some).map_err(|error| NotMade::file(file, format!("is no valid TOML: {}", error.message())))
}
