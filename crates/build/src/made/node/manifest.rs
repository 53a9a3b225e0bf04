//! `package.json`, as npm describes it ("package.json").

use serde_json::Value;

use super::super::start::Start;
use super::super::{NotMade, Repository};

const FILE: &str = "package.json";

/// What a project says of itself.
pub struct Manifest(Value);

impl Manifest {
    pub fn read(repository: &Repository) -> Result<Option<Self>, NotMade> {
        let Some(text) = repository.read(FILE)? else { return Ok(None) };
        let value: Value = serde_json::from_str(&text)
            .map_err(|error| NotMade::file(FILE, format!("is no valid JSON: {error}")))?;
        if !value.is_object() {
            return Err(NotMade::file(FILE, "is no JSON object"));
        }
        Ok(Some(Self(value)))
    }

    /// A script that is not empty.
    pub fn script(&self, name: &str) -> Option<&str> {
        self.text(&["scripts", name])
    }

    /// The range of Node.js' versions that it works with.
    pub fn engine(&self) -> Option<&str> {
        self.text(&["engines", "node"])
    }

    /// Name and version of the package manager: `pnpm@9.12.0+sha512.ab` is `pnpm` and `9.12.0`.
    pub fn manager(&self) -> Option<(&str, &str)> {
        let (name, version) = self.text(&["packageManager"])?.split_once('@')?;
        Some((name, version.split('+').next().unwrap_or_default()))
    }

    /// The file to run when nothing else is said.
    pub fn main(&self) -> Option<&str> {
        self.text(&["main"])
    }

    pub fn name(&self) -> Option<&str> {
        self.text(&["name"])
    }

    pub fn depends_on(&self, name: &str) -> bool {
        ["dependencies", "devDependencies", "optionalDependencies"]
            .iter()
            .any(|group| self.lists(group, name))
    }

    pub fn has_workspaces(&self) -> bool {
        !self.0["workspaces"].is_null()
    }

    /// Whether the start command runs a program that is there for development only, so that nothing may be pruned.
    pub fn needs_dev_dependencies(&self, start: &Start) -> bool {
        let program = match start.program() {
            "npm" | "yarn" | "pnpm" => {
                self.script("start").and_then(|script| script.split_whitespace().next())
            }
            program => Some(program),
        };
        program.is_some_and(|program| self.lists("devDependencies", program))
    }

    fn lists(&self, group: &str, name: &str) -> bool {
        !self.0[group][name].is_null()
    }

    fn text(&self, path: &[&str]) -> Option<&str> {
        let found = path.iter().try_fold(&self.0, |value, name| value.get(name))?;
        found.as_str().map(str::trim).filter(|text| !text.is_empty())
    }
}
