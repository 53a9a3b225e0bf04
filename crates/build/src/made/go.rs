//! Go: one static program.

use super::compiled::{self, Program};
use super::start::of_procfile;
use super::text::Text;
use super::words::{is_name, numbers};
use super::{Bases, Kind, NotMade, Repository, Verdict};

/// Taken when go.mod names no version.
const RELEASE: &str = "1.25";
/// Small, with certificates and a shell to look around in.
const RUNS_ON: &str = "alpine:3.22";
/// Has the C library that a program built with cgo is linked against.
const RUNS_ON_WITH_C: &str = "debian:trixie-slim";
/// Modules that are written in C.
const MODULES_IN_C: [&str; 2] = ["github.com/mattn/go-sqlite3", "github.com/confluentinc/confluent-kafka-go"];
/// Folders below `cmd` that are looked at.
const MOST_COMMANDS: usize = 100;

pub fn look(repository: &Repository, bases: &Bases) -> Result<Verdict, NotMade> {
    let Some(module) = repository.read("go.mod")? else { return Ok(Verdict::Other) };
    let start = of_procfile(repository)?;
    let project = project_name(&module);
    let programs = programs(repository, &project)?;
    if programs.is_empty() {
        return Ok(Verdict::Lacking("there is no package main in the folder itself or below cmd".to_owned()));
    }
    let Some(program) = compiled::choose(&programs, start.as_ref(), &project) else {
        return Ok(Verdict::Lacking(compiled::too_many(&programs)));
    };
    let with_c = MODULES_IN_C.iter().any(|name| module.contains(name));
    let text = build_stage(repository, bases, &module, program, with_c);
    let runs_on = bases.image(if with_c { RUNS_ON_WITH_C } else { RUNS_ON });
    let text = text.stage(&runs_on, None);
    let certificates = with_c.then_some("COPY --from=build /etc/ssl/certs /etc/ssl/certs");
    let text = compiled::run_stage(text.maybe(certificates), repository, program, start.as_ref());
    Ok(Verdict::Made(text.into_string()))
}

fn build_stage(
    repository: &Repository,
    bases: &Bases,
    module: &str,
    program: &Program,
    with_c: bool,
) -> Text {
    let has_sums = repository.has("go.sum");
    let lists = if has_sums { "go.mod go.sum" } else { "go.mod" };
    // Vendored modules are part of the repository; without sums there is nothing to fetch.
    let downloads = has_sums && !repository.has("vendor");
    let modules = "--mount=type=cache,target=/go/pkg/mod";
    let text = Text::new(Kind::Go).stage(&bases.image(&format!("golang:{}", version(module))), Some("build"));
    let text = text.line("WORKDIR /src");
    let text = match downloads {
        true => text.line(format!("COPY {lists} ./")).line(format!("RUN {modules} go mod download")),
        false => text,
    };
    text.line("COPY . .").long(&[
        &format!("RUN {modules} --mount=type=cache,target=/root/.cache/go-build"),
        &format!("    CGO_ENABLED={} go build -trimpath -tags timetzdata -ldflags='-s -w'", u8::from(with_c)),
        &format!("    -o /out/{} {}", program.name, program.target),
    ])
}

/// `1.24` of the `toolchain` line, else of the `go` line (Go Modules Reference).
fn version(module: &str) -> String {
    let named = |word: &str, prefix: &str| {
        let line = module.lines().map(str::trim).find_map(|line| line.strip_prefix(word))?;
        match numbers(line.trim().strip_prefix(prefix)?)[..] {
            [1, minor, ..] => Some(format!("1.{minor}")),
            _ => None,
        }
    };
    named("toolchain ", "go").or_else(|| named("go ", "")).unwrap_or_else(|| RELEASE.to_owned())
}

/// The last part of the module's path that is no version: what `go install` would call its program.
fn project_name(module: &str) -> String {
    let path = module.lines().find_map(|line| line.trim().strip_prefix("module ")).unwrap_or_default();
    let is_version = |part: &str| part.strip_prefix('v').is_some_and(|rest| rest.parse::<u32>().is_ok());
    let last = path.trim().trim_matches('"').rsplit('/').find(|part| !is_version(part));
    last.filter(|name| is_name(name)).unwrap_or("app").to_owned()
}

/// The package in the folder itself, and those in `cmd`.
fn programs(repository: &Repository, project: &str) -> Result<Vec<Program>, NotMade> {
    let mut programs = Vec::new();
    if is_main(repository, ".")? {
        programs.push(Program { name: project.to_owned(), target: ".".to_owned() });
    }
    if is_main(repository, "cmd")? {
        programs.push(Program { name: project.to_owned(), target: "./cmd".to_owned() });
    }
    for name in repository.list("cmd").into_iter().filter(|name| is_name(name)).take(MOST_COMMANDS) {
        if is_main(repository, &format!("cmd/{name}"))? {
            programs.push(Program { target: format!("./cmd/{name}"), name });
        }
    }
    Ok(programs)
}

fn is_main(repository: &Repository, folder: &str) -> Result<bool, NotMade> {
    for name in
        repository.list(folder).iter().filter(|name| name.ends_with(".go") && !name.ends_with("_test.go"))
    {
        let text = repository.read(&format!("{folder}/{name}"))?.unwrap_or_default();
        if let Some(package) = text.lines().find_map(|line| line.strip_prefix("package ")) {
            // `//go:build ignore` marks scripts that are no part of the package.
            if !text.lines().any(|line| line.starts_with("//go:build ignore")) {
                return Ok(package.split_whitespace().next() == Some("main"));
            }
        }
    }
    Ok(false)
}
