//! Rust: one program, on Debian.

use toml::{Table, Value};

use super::compiled::{self, Program};
use super::start::of_procfile;
use super::text::Text;
use super::words::{is_name, numbers};
use super::{Bases, Kind, NotMade, Repository, Verdict};

/// Debian 13. The compiler's image must be of this release or an older one: a newer C library would be missing.
const RUNS_ON: &str = "debian:trixie-slim";
/// The first release of Rust with an image on Debian 13, and the first with one on Debian 12.
const FIRST_ON_TRIXIE: u32 = 89;
const FIRST_ON_BOOKWORM: u32 = 70;
/// Members of a workspace that are looked at.
const MOST_MEMBERS: usize = 200;

/// Crates that are linked against a library: Debian's packages for building, and for running.
const LIBRARIES: [(&str, &[&str], &[&str]); 5] = [
    ("openssl-sys", &["libssl-dev", "pkg-config"], &["libssl3t64"]),
    ("pq-sys", &["libpq-dev"], &["libpq5"]),
    ("mysqlclient-sys", &["default-libmysqlclient-dev", "pkg-config"], &["libmariadb3"]),
    ("prost-build", &["protobuf-compiler"], &[]),
    ("aws-lc-sys", &["cmake", "g++", "make"], &[]),
];

pub fn look(repository: &Repository, bases: &Bases) -> Result<Verdict, NotMade> {
    let Some(manifest) = manifest(repository, "")? else { return Ok(Verdict::Other) };
    let start = of_procfile(repository)?;
    let programs = programs(repository, &manifest)?;
    if programs.is_empty() {
        return Ok(Verdict::Lacking("no package has src/main.rs, a [[bin]] or a file in src/bin".to_owned()));
    }
    let default = manifest.get("package").and_then(|package| package.get("default-run")?.as_str());
    let project = default.or_else(|| package_name(&manifest)).unwrap_or_default();
    let Some(program) = compiled::choose(&programs, start.as_ref(), project) else {
        return Ok(Verdict::Lacking(compiled::too_many(&programs)));
    };
    let lock = repository.read_lock("Cargo.lock")?;
    let needs = |part: fn(&Library) -> &'static [&'static str]| {
        let used = LIBRARIES.iter().filter(|(name, ..)| lists(lock.as_deref(), name));
        let mut packages: Vec<_> = used.flat_map(|library| part(library).iter().copied()).collect();
        packages.sort_unstable();
        packages.dedup();
        packages
    };
    let locked = if lock.is_some() { " --locked" } else { "" };
    let text = Text::new(Kind::Rust)
        .stage(&bases.image(&compiler(repository)?), Some("build"))
        .debian_packages(&needs(|(_, building, _)| building))
        .line("WORKDIR /src")
        .line("COPY . .")
        // The cache is no part of the image, so the program is copied out of it at once.
        .long(&[
            "RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target",
            &format!("    cargo build --release{locked} {}", program.target),
            &format!("    && mkdir /out && cp target/release/{0} /out/{0}", program.name),
        ])
        .stage(&bases.image(RUNS_ON), None)
        .debian_packages(&needs(|(_, _, running)| running))
        .line("COPY --from=build /etc/ssl/certs /etc/ssl/certs");
    Ok(Verdict::Made(compiled::run_stage(text, repository, program, start.as_ref()).into_string()))
}

type Library = (&'static str, &'static [&'static str], &'static [&'static str]);

fn lists(lock: Option<&str>, name: &str) -> bool {
    let line = format!("name = \"{name}\"");
    lock.is_some_and(|lock| lock.lines().any(|other| other == line))
}

/// The image of the release that the repository asks for (The rustup book, "The toolchain file"); rustup fetches a
/// nightly one by itself when it builds.
fn compiler(repository: &Repository) -> Result<String, NotMade> {
    let file =
        repository.read("rust-toolchain.toml")?.or(repository.read("rust-toolchain")?).unwrap_or_default();
    let table = file.parse::<Table>().ok();
    let channel = table.as_ref().and_then(|table| table.get("toolchain")?.get("channel")?.as_str());
    Ok(match numbers(channel.unwrap_or(&file))[..] {
        [1, minor, ..] if minor >= FIRST_ON_TRIXIE => format!("rust:1.{minor}-slim-trixie"),
        [1, minor, ..] if minor >= FIRST_ON_BOOKWORM => format!("rust:1.{minor}-slim-bookworm"),
        [1, minor, ..] => format!("rust:1.{minor}-slim"),
        _ => "rust:1-slim-trixie".to_owned(),
    })
}

/// Programs of the package in the folder, and of the workspace's members.
fn programs(repository: &Repository, root: &Table) -> Result<Vec<Program>, NotMade> {
    let mut programs = programs_of(repository, root, "");
    let Some(workspace) = root.get("workspace") else { return Ok(programs) };
    let listed = workspace.get("default-members").or(workspace.get("members")).and_then(Value::as_array);
    let patterns = listed.into_iter().flatten().filter_map(Value::as_str);
    let folders = patterns.flat_map(|pattern| expand(repository, pattern)).take(MOST_MEMBERS);
    for folder in folders {
        if let Some(member) = manifest(repository, &format!("{folder}/"))? {
            programs.extend(programs_of(repository, &member, &format!("{folder}/")));
        }
    }
    Ok(programs)
}

/// A member's folder, or all folders below for `crates/*`.
fn expand(repository: &Repository, pattern: &str) -> Vec<String> {
    let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
    match pattern.strip_suffix("/*") {
        Some(parent) => repository.list(parent).into_iter().map(|name| format!("{parent}/{name}")).collect(),
        None => vec![pattern.to_owned()],
    }
}

/// What Cargo finds by itself and what is listed (The Cargo Book, "Cargo Targets").
fn programs_of(repository: &Repository, manifest: &Table, folder: &str) -> Vec<Program> {
    let Some(package) = package_name(manifest) else { return Vec::new() };
    let mut names = Vec::new();
    let listed = manifest.get("bin").and_then(Value::as_array).into_iter().flatten();
    let with_path: Vec<_> = listed.filter_map(|program| program.get("name")?.as_str()).collect();
    names.extend(with_path.iter().map(|name| (*name).to_owned()));
    // A listed program takes this file over, under its own name.
    let takes_main = |program: &Value| {
        let path = program.get("path").and_then(Value::as_str);
        path == Some("src/main.rs")
    };
    let is_taken =
        manifest.get("bin").and_then(Value::as_array).is_some_and(|all| all.iter().any(takes_main));
    if repository.has_file(&format!("{folder}src/main.rs")) && !is_taken {
        names.push(package.to_owned());
    }
    for entry in repository.list(&format!("{folder}src/bin")) {
        let name = entry.strip_suffix(".rs").unwrap_or(&entry);
        let is_program =
            entry.ends_with(".rs") || repository.has_file(&format!("{folder}src/bin/{entry}/main.rs"));
        names.extend(is_program.then(|| name.to_owned()));
    }
    names.sort();
    names.dedup();
    let is_safe = |name: &String| is_name(name) && is_name(package);
    let target = |name: &str| format!("--package {package} --bin {name}");
    names.into_iter().filter(is_safe).map(|name| Program { target: target(&name), name }).collect()
}

fn package_name(manifest: &Table) -> Option<&str> {
    manifest.get("package")?.get("name")?.as_str()
}

fn manifest(repository: &Repository, folder: &str) -> Result<Option<Table>, NotMade> {
    let file = format!("{folder}Cargo.toml");
    let Some(text) = repository.read(&file)? else { return Ok(None) };
    let parsed = text.parse::<Table>();
    parsed.map(Some).map_err(|error| NotMade::file(&file, format!("is no valid TOML: {}", error.message())))
}
