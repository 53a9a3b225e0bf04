//! Who installs a project's dependencies: whoever wrote its lock file.

use super::super::Repository;
use super::dependencies::{Dependencies, Style};

/// Keeps what pip downloaded from build to build.
pub const PIP_CACHE: &str = "--mount=type=cache,target=/root/.cache/pip";
const UV_CACHE: &str = "--mount=type=cache,target=/root/.cache/uv";

/// Who installs the dependencies, into the virtual environment that is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installer {
    Requirements,
    UvLock,
    Poetry {
        is_locked: bool,
    },
    Pipenv {
        is_locked: bool,
    },
    /// pyproject.toml alone: uv reads the list without building the project itself.
    Project,
}

impl Installer {
    /// `None` when nothing lists dependencies.
    pub fn of(repository: &Repository, dependencies: &Dependencies) -> Option<Self> {
        let has = |name| repository.has(name);
        match dependencies.style {
            _ if has("uv.lock") && has("pyproject.toml") => Some(Self::UvLock),
            Style::Poetry => Some(Self::Poetry { is_locked: has("poetry.lock") }),
            Style::Standard if has("poetry.lock") => Some(Self::Poetry { is_locked: true }),
            _ if has("Pipfile") => Some(Self::Pipenv { is_locked: has("Pipfile.lock") }),
            _ if has("requirements.txt") => Some(Self::Requirements),
            Style::Standard => Some(Self::Project),
            Style::NoProject => None,
        }
    }

    /// What it reads.
    pub fn files(self) -> &'static [&'static str] {
        match self {
            Self::Requirements => &["requirements.txt"],
            Self::UvLock => &["pyproject.toml", "uv.lock"],
            Self::Poetry { is_locked: true } => &["pyproject.toml", "poetry.lock"],
            Self::Poetry { is_locked: false } | Self::Project => &["pyproject.toml"],
            Self::Pipenv { is_locked: true } => &["Pipfile", "Pipfile.lock"],
            Self::Pipenv { is_locked: false } => &["Pipfile"],
        }
    }

    /// The instruction, line by line. Tools are installed beside the environment, not in it, where the application
    /// would see them.
    pub fn install(self) -> Vec<String> {
        let cache = match self {
            Self::UvLock | Self::Project => UV_CACHE,
            Self::Requirements | Self::Poetry { .. } | Self::Pipenv { .. } => PIP_CACHE,
        };
        let with = |tool: &str, commands: &[&str]| {
            let first =
                format!("RUN {cache} /usr/local/bin/python -m pip install --root-user-action=ignore {tool}");
            std::iter::once(first).chain(commands.iter().map(|command| format!("    && {command}"))).collect()
        };
        match self {
            Self::Requirements => vec![format!("RUN {cache} pip install -r requirements.txt")],
            Self::UvLock => {
                with("uv", &["UV_PROJECT_ENVIRONMENT=/venv uv sync --frozen --no-dev --no-install-project"])
            }
            Self::Project => with("uv", &["uv pip install -r pyproject.toml"]),
            Self::Poetry { .. } => with("poetry", &["poetry install --only main --no-root"]),
            Self::Pipenv { is_locked: true } => {
                with("pipenv", &["pipenv requirements > /tmp/locked.txt", "pip install -r /tmp/locked.txt"])
            }
            Self::Pipenv { is_locked: false } => {
                with("pipenv", &["PIPENV_VERBOSITY=-1 pipenv install --skip-lock"])
            }
        }
    }
}
