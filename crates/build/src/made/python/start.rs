//! What of a project of Python is started, and by which server.

use super::super::start::Start;
use super::super::words::is_name;
use super::super::{NotMade, Repository};
use super::dependencies::Dependencies;

/// How a project runs.
pub struct Program {
    pub start: Start,
    /// A server that the project does not depend on itself.
    pub also_needs: Option<&'static str>,
    /// Django's files for browsers are collected, because WhiteNoise serves them from there.
    pub collects_static: bool,
}

/// What is said when there is nothing to start.
pub const LACKING: &str = "nothing says what to start: there is no Procfile with web, no manage.py with its settings, no \
    application of FastAPI or Flask in main.py, app.py, wsgi.py, asgi.py, server.py or api.py, also in app or src, and \
    no main.py, app.py, server.py or run.py";

/// Files that may hold an application of a framework, by path.
const MODULES: [&str; 8] = ["main", "app", "wsgi", "asgi", "server", "api", "application", "__init__"];
/// Where they may be.
const FOLDERS: [&str; 3] = ["", "app", "src"];
/// Programs that start what they need themselves.
const PROGRAMS: [&str; 4] = ["main.py", "app.py", "server.py", "run.py"];

pub fn program(repository: &Repository, dependencies: &Dependencies) -> Result<Option<Program>, NotMade> {
    if let Some(program) = of_django(repository, dependencies)? {
        return Ok(Some(program));
    }
    if (dependencies.has("fastapi") || dependencies.has("starlette"))
        && let Some(application) = application(repository, &["FastAPI", "Starlette"])?
    {
        return Ok(Some(by_uvicorn(&application, dependencies)));
    }
    if dependencies.has("flask")
        && let Some(application) = application(repository, &["Flask"])?
    {
        return Ok(Some(by_gunicorn(&application, dependencies)));
    }
    let program = PROGRAMS.into_iter().find(|name| repository.has_file(name));
    Ok(program.map(|name| plain(Start::words(&["python", name]))))
}

/// Whether `src` is a folder of modules, and not a package itself: then it belongs on Python's path (Python Packaging
/// User Guide, "src layout").
pub fn has_sources(repository: &Repository) -> bool {
    repository.has_folder("src") && !repository.has_file("src/__init__.py")
}

/// `manage.py` names the settings, beside which Django puts `wsgi.py`.
fn of_django(repository: &Repository, dependencies: &Dependencies) -> Result<Option<Program>, NotMade> {
    let Some(manage) = repository.read("manage.py")? else { return Ok(None) };
    let quoted =
        |text: &str| text.split(['"', '\'']).find(|part| part.contains("settings")).map(str::to_owned);
    let settings = manage.split_once("DJANGO_SETTINGS_MODULE").and_then(|(_, after)| quoted(after));
    let project = settings.as_deref().and_then(|name| name.split('.').next()).filter(|name| is_module(name));
    let Some(project) = project else { return Ok(None) };
    let has = |file: &str| repository.has_file(&format!("{project}/{file}"));
    let collects_static = dependencies.has("whitenoise");
    let has_other_server = dependencies.has("uvicorn") && !dependencies.has("gunicorn");
    let program = if has("asgi.py") && (has_other_server || !has("wsgi.py")) {
        by_uvicorn(&format!("{project}.asgi:application"), dependencies)
    } else if has("wsgi.py") {
        by_gunicorn(&format!("{project}.wsgi"), dependencies)
    } else {
        return Ok(None);
    };
    Ok(Some(Program { collects_static, ..program }))
}

/// `MODULE:NAME` of the first application that one of some classes makes, or of the function that makes one.
fn application(repository: &Repository, classes: &[&str]) -> Result<Option<String>, NotMade> {
    for folder in FOLDERS {
        for module in MODULES {
            let (file, dotted) = match (folder, module) {
                ("", "__init__") => continue,
                ("", module) => (format!("{module}.py"), module.to_owned()),
                ("src", module) if has_sources(repository) => (format!("src/{module}.py"), module.to_owned()),
                (folder, "__init__") => (format!("{folder}/__init__.py"), folder.to_owned()),
                (folder, module) => (format!("{folder}/{module}.py"), format!("{folder}.{module}")),
            };
            let Some(text) = repository.read(&file)? else { continue };
            if let Some(name) = text.lines().find_map(|line| assigned(line, classes)) {
                return Ok(Some(format!("{dotted}:{name}")));
            }
            if classes.contains(&"Flask") && text.lines().any(|line| line.starts_with("def create_app(")) {
                return Ok(Some(format!("{dotted}:create_app()")));
            }
        }
    }
    Ok(None)
}

/// The name that a line at the top of a module gives to a new object of one of some classes.
fn assigned(line: &str, classes: &[&str]) -> Option<String> {
    let (name, value) = line.split_once('=')?;
    let (name, _) = name.split_once(':').unwrap_or((name, ""));
    let called = value.trim_start().split('(').next()?.rsplit('.').next()?;
    let is_top = !line.starts_with([' ', '\t']);
    (is_top && value.contains('(') && classes.contains(&called.trim()) && is_module(name.trim()))
        .then(|| name.trim().to_owned())
}

/// Whether Python would take a text as one name.
fn is_module(text: &str) -> bool {
    is_name(text) && !text.contains(['-', '.']) && !text.starts_with(|first: char| first.is_ascii_digit())
}

fn by_uvicorn(application: &str, dependencies: &Dependencies) -> Program {
    let has_server = dependencies.has("uvicorn") || dependencies.fastapi_has_server;
    let start = Start::Line(format!("exec uvicorn {application} --host 0.0.0.0 --port $PORT"));
    Program { also_needs: (!has_server).then_some("uvicorn"), ..plain(start) }
}

/// gunicorn listens on `$PORT` of all addresses by itself (gunicorn, "Settings", `bind`).
fn by_gunicorn(application: &str, dependencies: &Dependencies) -> Program {
    let start = Start::words(&["gunicorn", application]);
    Program { also_needs: (!dependencies.has("gunicorn")).then_some("gunicorn"), ..plain(start) }
}

fn plain(start: Start) -> Program {
    Program { start, also_needs: None, collects_static: false }
}
