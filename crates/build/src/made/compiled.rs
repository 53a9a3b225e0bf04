//! What programs of Go and Rust have in common: one file to run, and perhaps folders that it reads.

use super::text::{Text, USER};
use super::{Repository, start::Start};

/// Folders that a compiled program often reads when it runs. Sources stay behind.
const READ_LATER: [&str; 12] = [
    "assets",
    "config",
    "configs",
    "data",
    "locales",
    "migrations",
    "public",
    "static",
    "templates",
    "views",
    "web",
    "www",
];

/// A program that can be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Name of its file.
    pub name: String,
    /// What the compiler is told to build.
    pub target: String,
}

/// Names that say of one program among several that it is the one that serves.
const SERVERS: [&str; 5] = ["server", "web", "api", "app", "http"];

/// The one program to run: the one that the start command names, the only one, the one that is called like the
/// project, or the one that is called a server.
pub fn choose<'a>(programs: &'a [Program], start: Option<&Start>, project: &str) -> Option<&'a Program> {
    let named = |name: &str| programs.iter().find(|program| program.name == name);
    let by_start = start.and_then(|start| named(start.program()));
    let only = || programs.first().filter(|_| programs.len() == 1);
    by_start.or_else(only).or_else(|| named(project)).or_else(|| SERVERS.iter().find_map(|name| named(name)))
}

/// Said when there are several programs and none stands out.
pub fn too_many(programs: &[Program]) -> String {
    let names: Vec<_> = programs.iter().map(|program| program.name.as_str()).take(10).collect();
    format!(
        "it has several programs ({}) and nothing says which one serves; name it in a Procfile, as in: web: bin/{}",
        names.join(", "),
        names[0]
    )
}

/// The last stage, with the program in `/app/bin`: where a Procfile looks for it.
pub fn run_stage(text: Text, repository: &Repository, program: &Program, start: Option<&Start>) -> Text {
    let own = Start::words(&[&format!("/app/bin/{}", program.name)]);
    let mut text = text
        .line("ENV PORT=8080 PATH=/app/bin:$PATH")
        // The folder is made by this, and thus belongs to whom it says.
        .line(format!("COPY --from=build --chown={USER} /out /app/bin"))
        .line("WORKDIR /app");
    for folder in READ_LATER.iter().filter(|name| repository.has_folder(name)) {
        text = text.line(format!("COPY --chown={USER} {folder} ./{folder}/"));
    }
    text.line(format!("USER {USER}")).line("EXPOSE 8080").line(start.unwrap_or(&own).instruction())
}
