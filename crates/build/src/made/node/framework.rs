//! What a project becomes: a server with its start command, or a folder of files.

use serde_json::Value;

use super::super::server::Missing;
use super::super::start::Start;
use super::super::words::{is_name, is_path};
use super::super::{NotMade, Repository};
use super::manifest::Manifest;

/// What the image will do.
pub enum Outcome {
    Server(Start),
    /// A folder that the build script fills, relative to the project.
    Site {
        folder: String,
        missing: Missing,
    },
}

/// Servers that a dependency makes, for projects without a start script.
const SERVERS: [(&str, &[&str]); 5] = [
    ("next", &["node_modules/.bin/next", "start"]),
    ("nuxt", &["node", ".output/server/index.mjs"]),
    ("@sveltejs/adapter-node", &["node", "build"]),
    ("@astrojs/node", &["node", "dist/server/entry.mjs"]),
    ("@remix-run/serve", &["node_modules/.bin/remix-serve", "build/server/index.js"]),
];

/// Programs that make files, by the dependency that brings them: the folder they fill, and whether a script in the
/// page knows more pages than there are files. The more particular ones come first.
const SITES: [(&str, &str, bool); 13] = [
    ("react-scripts", "build", true),
    ("@vue/cli-service", "dist", true),
    ("@docusaurus/core", "build", false),
    ("gatsby", "public", false),
    ("@11ty/eleventy", "_site", false),
    ("@sveltejs/adapter-static", "build", true),
    ("astro", "dist", false),
    ("vuepress", "docs/.vuepress/dist", false),
    ("preact-cli", "build", true),
    ("ember-cli", "dist", true),
    ("parcel", "dist", true),
    ("vite", "dist", true),
    ("webpack", "dist", true),
];

/// Frameworks that are built for a place that is not known here.
const UNDECIDED: [(&str, &str); 2] = [
    (
        "@sveltejs/adapter-auto",
        "@sveltejs/adapter-auto does not know this platform: use @sveltejs/adapter-node",
    ),
    (
        "@sveltejs/adapter-vercel",
        "@sveltejs/adapter-vercel builds for another platform: use @sveltejs/adapter-node",
    ),
];

/// Start scripts that serve while somebody develops.
const FOR_DEVELOPMENT: [&str; 13] = [
    "react-scripts start",
    "vue-cli-service serve",
    "ng serve",
    "vite",
    "astro dev",
    "astro preview",
    "gatsby develop",
    "docusaurus start",
    "eleventy --serve",
    "webpack serve",
    "webpack-dev-server",
    "parcel",
    "ember serve",
];

/// What runs without anything being said.
const FILES: [&str; 6] = ["server.js", "index.js", "app.js", "server.mjs", "index.mjs", "main.js"];

/// What a project becomes, or what it lacks.
pub fn outcome(repository: &Repository, manifest: &Manifest) -> Result<Result<Outcome, String>, NotMade> {
    if let Some(script) = manifest.script("start").filter(|script| !is_for_development(script)) {
        return Ok(Ok(Outcome::Server(of_script(manifest, script))));
    }
    if manifest.script("build").is_some() {
        if let Some(site) = exported_by_next(repository, manifest)?.or(generated_by_nuxt(manifest)) {
            return Ok(Ok(site));
        }
        if let Some((_, words)) = SERVERS.iter().find(|(name, _)| manifest.depends_on(name)) {
            return Ok(Ok(Outcome::Server(Start::words(words))));
        }
        if let Some((_, why)) = UNDECIDED.iter().find(|(name, _)| manifest.depends_on(name)) {
            return Ok(Err((*why).to_owned()));
        }
        if let Some(site) = built(repository, manifest)? {
            return Ok(Ok(site));
        }
    }
    let main = manifest.main().map(|path| path.trim_start_matches("./")).filter(|path| is_path(path));
    let builds = manifest.script("build").is_some();
    let file =
        main.filter(|path| builds || repository.has_file(path) || repository.has_file(&format!("{path}.js")));
    let file = file.or_else(|| FILES.into_iter().find(|name| repository.has_file(name)));
    Ok(file.map(|file| Outcome::Server(Start::words(&["node", file]))).ok_or_else(|| {
        "package.json has no start script that serves, no main file and no build script of a known framework, and \
            there is no server.js, index.js or app.js"
            .to_owned()
    }))
}

fn is_for_development(script: &str) -> bool {
    let words: Vec<_> = script.split_whitespace().collect();
    FOR_DEVELOPMENT.iter().any(|known| {
        let known: Vec<_> = known.split(' ').collect();
        words.starts_with(&known)
    })
}

/// `node FILE` runs by itself, so that signals reach it; everything else wants npm, which knows where programs are.
fn of_script(manifest: &Manifest, script: &str) -> Start {
    let has_hooks = manifest.script("prestart").is_some() || manifest.script("poststart").is_some();
    match Start::parse(script) {
        Ok(start @ Start::Words(_)) if start.program() == "node" && !has_hooks => start,
        _ => Start::words(&["npm", "start"]),
    }
}

fn built(repository: &Repository, manifest: &Manifest) -> Result<Option<Outcome>, NotMade> {
    if manifest.depends_on("@angular/core") {
        let folder = of_angular(repository, manifest)?;
        return Ok(Some(Outcome::Site { folder, missing: Missing::Index }));
    }
    let known = SITES.iter().find(|(name, ..)| manifest.depends_on(name));
    Ok(known.map(|(_, folder, knows_more)| {
        let missing = if *knows_more { Missing::Index } else { Missing::OwnPage };
        Outcome::Site { folder: (*folder).to_owned(), missing }
    }))
}

/// Where Angular writes ("Workspace configuration", `outputPath`): below `browser` since its application builder.
fn of_angular(repository: &Repository, manifest: &Manifest) -> Result<String, NotMade> {
    let text = repository.read("angular.json")?.unwrap_or_else(|| "{}".to_owned());
    let workspace: Value = serde_json::from_str(&text)
        .map_err(|error| NotMade::file("angular.json", format!("is no valid JSON: {error}")))?;
    let project = workspace["projects"].as_object().and_then(|projects| projects.iter().next());
    let name = project
        .map(|(name, _)| name.as_str())
        .or(manifest.name())
        .filter(|name| is_name(name))
        .unwrap_or("app");
    let nothing = Value::Null;
    let target = project.map_or(&nothing, |(_, project)| &project["architect"]["build"]);
    let path = &target["options"]["outputPath"];
    let path = path.as_str().or_else(|| path["base"].as_str()).filter(|path| is_path(path));
    let path = path.map_or_else(|| format!("dist/{name}"), str::to_owned);
    let builder = target["builder"].as_str().unwrap_or_default();
    let is_new = builder.ends_with(":application");
    Ok(if is_new { format!("{path}/browser") } else { path })
}

/// Next.js, "Static Exports".
fn exported_by_next(repository: &Repository, manifest: &Manifest) -> Result<Option<Outcome>, NotMade> {
    if !manifest.depends_on("next") {
        return Ok(None);
    }
    for name in ["next.config.js", "next.config.mjs", "next.config.ts"] {
        let text: String = repository.read(name)?.unwrap_or_default().split_whitespace().collect();
        if text.contains("output:'export'") || text.contains("output:\"export\"") {
            return Ok(Some(Outcome::Site { folder: "out".to_owned(), missing: Missing::OwnPage }));
        }
    }
    Ok(None)
}

/// Nuxt, "Static hosting".
fn generated_by_nuxt(manifest: &Manifest) -> Option<Outcome> {
    let generates = manifest.script("build").is_some_and(|script| script.contains("nuxt generate"));
    let folder = ".output/public".to_owned();
    generates.then_some(Outcome::Site { folder, missing: Missing::Index })
}
