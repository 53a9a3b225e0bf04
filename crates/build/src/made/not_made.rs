//! Why no Dockerfile could be made.

use model::FailureCode;

/// What is looked for, kind by kind, for people to compare with what they have.
const LOOKED_FOR: &str = "a Dockerfile; composer.json or index.php (PHP); go.mod (Go); Cargo.toml (Rust); \
    requirements.txt, pyproject.toml, Pipfile, manage.py, main.py or app.py (Python); package.json (Node.js); \
    index.html, also in public, dist, site or www (static site)";

/// Why no Dockerfile was made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotMade {
    /// Nothing that is known, or not all of it.
    #[error("there is no Dockerfile, and none can be made{}; looked for: {LOOKED_FOR}", because(.lacking))]
    Unknown {
        /// What the kinds that were recognised lack.
        lacking: Vec<String>,
        /// Files elsewhere in the folder that look like an application.
        nearby: Vec<String>,
    },
    /// A file that decides cannot be used.
    #[error("no Dockerfile can be made, because {file} {why}")]
    File {
        /// Its path in the folder.
        file: String,
        /// `is larger than 1 MiB`
        why: String,
    },
}

impl NotMade {
    pub fn code(&self) -> FailureCode {
        match self {
            NotMade::Unknown { .. } => FailureCode::DockerfileNotFound,
            NotMade::File { .. } => FailureCode::RepositoryInvalid,
        }
    }

    /// What to do now.
    pub fn hint(&self) -> String {
        match self {
            NotMade::Unknown { nearby, .. } => {
                let there = nearby.join(", ");
                let there = if there.is_empty() { there } else { format!(" (there is {there})") };
                format!(
                    "add a Dockerfile to the repository, name the folder that holds the application with --path or the \
                        Dockerfile with --dockerfile{there}, or give a text with --dockerfile-text"
                )
            }
            NotMade::File { file, .. } => {
                format!(
                    "mend {file}, or add a Dockerfile to the repository, or give its text with --dockerfile-text"
                )
            }
        }
    }

    pub(super) fn file(file: &str, why: impl Into<String>) -> Self {
        Self::File { file: file.to_owned(), why: why.into() }
    }
}

fn because(lacking: &[String]) -> String {
    if lacking.is_empty() { String::new() } else { format!(" ({})", lacking.join("; ")) }
}
