//! Node.js: a server, or a site that its build script makes.

mod framework;
mod manager;
mod manifest;
mod public;

use self::framework::Outcome;
use self::manager::Manager;
use self::manifest::Manifest;
use super::server::serve;
use super::start::{Start, of_procfile};
use super::text::Text;
use super::versions::{Named, choose};
use super::{Bases, Kind, NotMade, Repository, Verdict};

/// Lines that are supported for long, the current one first (Node.js, "Releases"). Another is taken when the
/// repository asks for it.
const RELEASES: [u32; 5] = [24, 22, 20, 18, 16];

/// Programs that compile modules of C++ while they are installed (node-gyp, "Installation"); the slim image has none.
const COMPILERS: [&str; 3] = ["g++", "make", "python3"];

/// What in a lock file says that something may be compiled.
const COMPILED: [&str; 3] = ["node-gyp", "node-addon-api", "nan@"];

/// Scripts of a project that installing runs.
const HOOKS: [&str; 4] = ["preinstall", "install", "postinstall", "prepare"];

/// What package managers read beside the lists of dependencies.
const READ_BY_INSTALLERS: [&str; 3] = ["pnpm-workspace.yaml", "patches", ".yarn"];

/// What is known before the text is written.
struct Project {
    manifest: Manifest,
    manager: Manager,
    image: String,
    compiles: bool,
    /// Variables for browsers.
    public: Vec<String>,
    /// Files that say which dependencies there are.
    lists: Vec<&'static str>,
    /// Installing wants more than those.
    wants_all_files: bool,
    /// node_modules is part of the repository, perhaps made on another system.
    brings_modules: bool,
}

pub fn look(repository: &Repository, bases: &Bases) -> Result<Verdict, NotMade> {
    let Some(manifest) = Manifest::read(repository)? else { return Ok(Verdict::Other) };
    let outcome = match of_procfile(repository)? {
        Some(start) => Outcome::Server(start),
        None => match framework::outcome(repository, &manifest)? {
            Ok(outcome) => outcome,
            Err(lacking) => return Ok(Verdict::Lacking(lacking)),
        },
    };
    let project = Project::of(repository, bases, manifest)?;
    let text = match outcome {
        Outcome::Server(start) => server(&project, &start),
        Outcome::Site { folder, missing } => {
            let copied = format!("--from=build /app/{folder}");
            serve(build_stage(Text::new(Kind::Node), &project, "build"), bases, &copied, missing, None)
        }
    };
    Ok(Verdict::Made(text.into_string()))
}

/// A stage that builds what another kind of repository shows in browsers, in `/app`, and whether there is one.
pub fn assets(
    text: Text,
    repository: &Repository,
    bases: &Bases,
    stage: &str,
) -> Result<(Text, bool), NotMade> {
    match Manifest::read(repository)? {
        Some(manifest) if manifest.script("build").is_some() => {
            let project = Project::of(repository, bases, manifest)?;
            Ok((build_stage(text, &project, stage), true))
        }
        _ => Ok((text, false)),
    }
}

impl Project {
    fn of(repository: &Repository, bases: &Bases, manifest: Manifest) -> Result<Self, NotMade> {
        let major = version(repository, &manifest)?;
        let manager = Manager::of(repository, &manifest, major)?;
        let lock = match manager.lock_file() {
            Some(name) => repository.read_lock(name)?.unwrap_or_default(),
            None => String::new(),
        };
        Ok(Self {
            public: public::variables(repository)?,
            lists: manager.files().into_iter().filter(|name| repository.has(name)).collect(),
            wants_all_files: manifest.has_workspaces()
                || HOOKS.iter().any(|hook| manifest.script(hook).is_some())
                || READ_BY_INSTALLERS.iter().any(|name| repository.has(name)),
            manifest,
            manager,
            image: bases.image(&format!("node:{major}-slim")),
            compiles: COMPILED.iter().any(|word| lock.contains(word)),
            brings_modules: repository.has("node_modules"),
        })
    }
}

/// The release that the repository asks for, else the current one.
fn version(repository: &Repository, manifest: &Manifest) -> Result<u32, NotMade> {
    let mut asked = vec![manifest.engine().map(str::to_owned)];
    for file in [".nvmrc", ".node-version"] {
        asked.push(repository.read(file)?.map(|text| text.trim().to_owned()));
    }
    let of_name = |name: &str| match name {
        "lts/hydrogen" => Some(18),
        "lts/iron" => Some(20),
        "lts/jod" => Some(22),
        "lts/krypton" => Some(24),
        range => choose(range, Named::First, &RELEASES, 10..=40),
    };
    Ok(asked.iter().flatten().find_map(|text| of_name(text)).unwrap_or(RELEASES[0]))
}

/// Two stages: one with everything that building needs, and one with what runs.
fn server(project: &Project, start: &Start) -> Text {
    let text = build_stage(Text::new(Kind::Node), project, "build");
    let keeps_all = project.manifest.needs_dev_dependencies(start);
    let prune = project.manager.prune().filter(|_| !keeps_all).map(|words| format!("RUN {words}"));
    text.maybe(prune)
        .stage(&project.image, None)
        .maybe(project.manager.setup().map(|words| format!("RUN {words}")))
        .line("ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080")
        // The folder is made by this, and thus belongs to whom it says.
        .line("COPY --from=build --chown=node:node /app /app")
        .line("WORKDIR /app")
        .line("USER node")
        .line("EXPOSE 8080")
        .line(start.instruction())
}

/// Installs all dependencies and runs the build script, when there is one, in `/app`.
fn build_stage(text: Text, project: &Project, stage: &str) -> Text {
    let install =
        format!("RUN --mount=type=cache,target={} {}", project.manager.cache(), project.manager.install());
    let compilers: &[&str] = if project.compiles { &COMPILERS } else { &[] };
    let mut text = text
        .stage(&project.image, Some(stage))
        .debian_packages(compilers)
        .maybe(project.manager.setup().map(|words| format!("RUN {words}")))
        .line("WORKDIR /app");
    // The list of dependencies goes first, so that they are installed anew only when it changes.
    if project.wants_all_files || project.brings_modules {
        text = text.line("COPY . .");
        text = text.maybe(project.brings_modules.then_some("RUN rm -rf node_modules")).line(install);
    } else {
        let files = project.lists.join(" ");
        text = text.line(format!("COPY {files} ./")).line(install).line("COPY . .");
    }
    let cache =
        if project.manifest.depends_on("next") { "--mount=type=cache,target=/app/.next/cache " } else { "" };
    if project.manifest.script("build").is_none() {
        return text;
    }
    for name in &project.public {
        text = text.line(format!("ARG {name}"));
    }
    text.line(format!("RUN {cache}{}", project.manager.run("build")))
}
