//! Python: a web application, or a program.

mod dependencies;
mod install;
mod start;

use self::dependencies::Dependencies;
use self::install::Installer;
use self::start::Program;
use super::start::of_procfile;
use super::text::{Text, USER};
use super::versions::{Named, choose};
use super::{Bases, Kind, NotMade, Repository, Verdict};

/// Minor versions of Python 3 that are supported (Python Developer's Guide, "Status of Python versions"). The first
/// is taken when the repository asks for none: most packages have wheels for it.
const RELEASES: [u32; 6] = [13, 14, 12, 11, 10, 9];

/// Files at which a repository is taken for one of Python.
const SIGNS: [&str; 6] = ["requirements.txt", "pyproject.toml", "Pipfile", "manage.py", "main.py", "app.py"];

/// Packages that are compiled against a library, or need one when they run: Debian's packages for building, and for
/// running.
const LIBRARIES: [(&str, &[&str], &[&str]); 4] = [
    ("psycopg2", &["gcc", "libc6-dev", "libpq-dev"], &["libpq5"]),
    ("psycopg", &[], &["libpq5"]),
    ("mysqlclient", &["gcc", "libc6-dev", "default-libmysqlclient-dev", "pkg-config"], &["libmariadb3"]),
    ("uwsgi", &["gcc", "libc6-dev"], &[]),
];

/// Where Python finds modules.
struct Layout {
    /// In a virtual environment.
    has_packages: bool,
    /// In the folder `src`.
    has_sources: bool,
}

pub fn look(repository: &Repository, bases: &Bases) -> Result<Verdict, NotMade> {
    if !SIGNS.iter().any(|name| repository.has(name)) {
        return Ok(Verdict::Other);
    }
    let dependencies = Dependencies::read(repository)?;
    let program = match of_procfile(repository)? {
        Some(start) => Program { start, also_needs: None, collects_static: false },
        None => match start::program(repository, &dependencies)? {
            Some(program) => program,
            None => return Ok(Verdict::Lacking(start::LACKING.to_owned())),
        },
    };
    let image = bases.image(&format!("python:3.{}-slim", version(repository, &dependencies)?));
    let installer = Installer::of(repository, &dependencies);
    let text = match (installer, program.also_needs) {
        (None, None) => Text::new(Kind::Python),
        (installer, extra) => install_stage(Text::new(Kind::Python), &image, installer, extra, &dependencies),
    };
    let layout = Layout {
        has_packages: installer.is_some() || program.also_needs.is_some(),
        has_sources: start::has_sources(repository),
    };
    Ok(Verdict::Made(run_stage(text, &image, &layout, &program, &dependencies).into_string()))
}

/// The release that the repository asks for, else the usual one.
fn version(repository: &Repository, dependencies: &Dependencies) -> Result<u32, NotMade> {
    let first_line = |text: String| text.lines().next().unwrap_or_default().trim().to_owned();
    let asked = [
        repository.read(".python-version")?.map(first_line),
        repository.read("runtime.txt")?.map(|text| first_line(text).trim_start_matches("python-").to_owned()),
        dependencies.python.clone(),
    ];
    let choice =
        asked.iter().flatten().find_map(|range| choose(range, Named::SecondAfter(3), &RELEASES, 6..=20));
    Ok(choice.unwrap_or(RELEASES[0]))
}

/// Installs everything into a folder of its own, which is all that is taken from this stage.
fn install_stage(
    text: Text,
    image: &str,
    installer: Option<Installer>,
    extra: Option<&str>,
    dependencies: &Dependencies,
) -> Text {
    let for_building = libraries(dependencies, |(_, building, _)| building);
    let mut text = text
        .stage(image, Some("build"))
        .debian_packages(&for_building)
        .line("ENV VIRTUAL_ENV=/venv PATH=/venv/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1")
        .line("WORKDIR /app")
        .line("RUN python -m venv /venv");
    if let Some(installer) = installer {
        text = text.line(format!("COPY {} ./", installer.files().join(" "))).long(&installer.install());
    }
    let extra = extra.map(|name| format!("RUN {} pip install {name}", install::PIP_CACHE));
    text.maybe(extra)
}

fn run_stage(
    text: Text,
    image: &str,
    layout: &Layout,
    program: &Program,
    dependencies: &Dependencies,
) -> Text {
    let for_running = libraries(dependencies, |(_, _, running)| running);
    let path = if layout.has_packages { " PATH=/venv/bin:$PATH" } else { "" };
    let modules = if layout.has_sources { " PYTHONPATH=/app/src" } else { "" };
    // Settings of Django often want a key as soon as they are read; this one protects nothing.
    let collect = program
        .collects_static
        .then_some("RUN SECRET_KEY=unused DJANGO_SECRET_KEY=unused python manage.py collectstatic --noinput");
    text.stage(image, None)
        .debian_packages(&for_running)
        .line(format!("ENV PYTHONUNBUFFERED=1 PORT=8080 HOME=/app{path}{modules}"))
        .maybe(layout.has_packages.then_some("COPY --from=build /venv /venv"))
        // The folder is made by this, and thus belongs to whom it says.
        .line(format!("COPY --chown={USER} . /app"))
        .line("WORKDIR /app")
        .maybe(collect)
        .line(format!("USER {USER}"))
        .line("EXPOSE 8080")
        .line(program.start.instruction())
}

type Library = (&'static str, &'static [&'static str], &'static [&'static str]);

fn libraries(
    dependencies: &Dependencies,
    part: fn(&Library) -> &'static [&'static str],
) -> Vec<&'static str> {
    let needed = LIBRARIES.iter().filter(|(name, ..)| dependencies.has(name));
    let mut packages: Vec<_> = needed.flat_map(|library| part(library).iter().copied()).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}
