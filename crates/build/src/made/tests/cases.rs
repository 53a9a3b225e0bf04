//! What decides what, case by case: files, and lines that must be in the text.

use super::{made, text};

/// Files by path and text.
type Files = &'static [(&'static str, &'static str)];

fn check(cases: &[(Files, &[&str])]) {
    for (files, lines) in cases {
        let text = text(files);
        for line in *lines {
            assert!(
                text.lines().any(|other| other.trim() == *line),
                "no line {line:?} for {files:?} in:\n{text}"
            );
        }
    }
}

#[test]
fn kinds_go_before_each_other() {
    const NODE: (&str, &str) = ("package.json", r#"{"scripts":{"start":"node a.js"}}"#);
    for (files, kind) in [
        (&[("index.php", ""), NODE][..], "PHP"),
        (&[("manage.py", "DJANGO_SETTINGS_MODULE 'a.settings'"), ("a/wsgi.py", ""), NODE], "Python"),
        (&[("go.mod", "module m"), ("main.go", "package main"), NODE], "Go"),
        (&[("Cargo.toml", "[package]\nname='a'"), ("src/main.rs", ""), NODE], "Rust"),
        (&[("requirements.txt", "black"), NODE], "Node.js"),
        (&[("go.mod", "module m"), ("tools.go", "package tools"), NODE], "Node.js"),
        (&[NODE, ("index.html", "")], "Node.js"),
        (&[("package.json", "{}"), ("index.html", "")], "static site"),
        (&[("public/index.html", "")], "static site"),
    ] {
        assert_eq!(made(files).unwrap().kind.to_string(), kind, "{files:?}");
    }
}

#[test]
fn a_procfile_decides_what_is_started() {
    check(&[
        (
            &[("Procfile", "worker: x\nweb: node a.js --port=$PORT\n"), ("package.json", "{}")],
            &["CMD node a.js --port=$PORT"],
        ),
        (&[("Procfile", "web: gunicorn a:b"), ("requirements.txt", "")], &[r#"CMD ["gunicorn", "a:b"]"#]),
        (
            &[
                ("Procfile", "web: bin/b -v"),
                ("go.mod", "module m"),
                ("cmd/a/a.go", "package main"),
                ("cmd/b/b.go", "package main"),
            ],
            &["-o /out/b ./cmd/b", r#"CMD ["bin/b", "-v"]"#],
        ),
        (
            &[("Procfile", "web: vendor/bin/heroku-php-apache2 public/"), ("index.php", "")],
            &[r#"CMD ["apache2-foreground"]"#],
        ),
        (&[("Procfile", "web: caddy run"), ("index.html", "")], &[r#"CMD ["caddy", "run"]"#]),
    ]);
}

#[test]
fn package_managers_install_from_their_lock_files() {
    check(&[
        (
            &[("package.json", r#"{"main":"a.js"}"#), ("a.js", "")],
            &[
                "COPY package.json ./",
                "RUN --mount=type=cache,target=/root/.npm npm install",
                r#"CMD ["node", "a.js"]"#,
            ],
        ),
        (
            &[("package.json", r#"{"scripts":{"start":"node a"}}"#), ("yarn.lock", "")],
            &[
                "COPY package.json yarn.lock ./",
                "RUN --mount=type=cache,target=/root/.cache/yarn YARN_CACHE_FOLDER=/root/.cache/yarn yarn install --frozen-lockfile",
                "RUN yarn install --production --ignore-scripts --prefer-offline",
            ],
        ),
        (
            &[
                ("package.json", r#"{"scripts":{"start":"node a"},"packageManager":"yarn@4.5.0"}"#),
                ("yarn.lock", ""),
            ],
            &[
                "RUN npm install --global --force @yarnpkg/cli-dist@4.5.0",
                "RUN YARN_NODE_LINKER=node-modules yarn workspaces focus --all --production",
            ],
        ),
        (
            &[
                (
                    "package.json",
                    r#"{"scripts":{"start":"node a"},"packageManager":"pnpm@9.12.0+sha512.ab"}"#,
                ),
                ("pnpm-lock.yaml", "lockfileVersion: '9.0'\n"),
            ],
            &["RUN npm install --global pnpm@9.12.0", "RUN CI=true pnpm prune --prod --ignore-scripts"],
        ),
        (
            &[
                ("package.json", r#"{"scripts":{"start":"node a"}}"#),
                ("pnpm-lock.yaml", "lockfileVersion: '6.0'\n"),
            ],
            &["RUN npm install --global pnpm@8", "COPY package.json pnpm-lock.yaml ./"],
        ),
    ]);
}

#[test]
fn node_is_of_the_version_that_is_asked_for() {
    const START: &str = r#"{"scripts":{"start":"node a"}}"#;
    check(&[
        (&[("package.json", START)], &["FROM node:24-slim"]),
        (&[("package.json", START), (".nvmrc", "v20.11.1\n")], &["FROM node:20-slim"]),
        (&[("package.json", START), (".nvmrc", "lts/jod")], &["FROM node:22-slim"]),
        (&[("package.json", START), (".node-version", "18")], &["FROM node:18-slim"]),
        (
            &[
                ("package.json", r#"{"scripts":{"start":"node a"},"engines":{"node":"22.x"}}"#),
                (".nvmrc", "20"),
            ],
            &["FROM node:22-slim"],
        ),
    ]);
}

#[test]
fn frameworks_of_node() {
    check(&[
        (
            &[(
                "package.json",
                r#"{"scripts":{"start":"react-scripts start","build":"react-scripts build"},"dependencies":{"react-scripts":"5"}}"#,
            )],
            &["COPY --from=build /app/build /srv"],
        ),
        (
            &[(
                "package.json",
                r#"{"scripts":{"build":"astro build","start":"astro dev"},"dependencies":{"astro":"5","vite":"7"}}"#,
            )],
            &["COPY --from=build /app/dist /srv", "'    rewrite * /404.html' \\"],
        ),
        (
            &[("package.json", r#"{"scripts":{"build":"next build"},"dependencies":{"next":"15"}}"#)],
            &[
                "RUN --mount=type=cache,target=/app/.next/cache npm run build",
                r#"CMD ["node_modules/.bin/next", "start"]"#,
            ],
        ),
        (
            &[
                (
                    "package.json",
                    r#"{"scripts":{"build":"next build","start":"next start"},"dependencies":{"next":"15"}}"#,
                ),
                ("next.config.mjs", "export default { output: 'export' }"),
            ],
            &[r#"CMD ["npm", "start"]"#],
        ),
        (
            &[
                ("package.json", r#"{"scripts":{"build":"next build"},"dependencies":{"next":"15"}}"#),
                ("next.config.mjs", "export default {\n  output: 'export',\n}"),
            ],
            &["COPY --from=build /app/out /srv"],
        ),
        (
            &[
                (
                    "package.json",
                    r#"{"scripts":{"start":"ng serve","build":"ng build"},"dependencies":{"@angular/core":"20"}}"#,
                ),
                (
                    "angular.json",
                    r#"{"projects":{"shop":{"architect":{"build":{"builder":"@angular/build:application"}}}}}"#,
                ),
            ],
            &["COPY --from=build /app/dist/shop/browser /srv"],
        ),
        (
            &[(
                "package.json",
                r#"{"scripts":{"build":"vite build"},"devDependencies":{"@sveltejs/adapter-node":"5","vite":"7"}}"#,
            )],
            &[r#"CMD ["node", "build"]"#],
        ),
    ]);
}

#[test]
fn what_node_needs_at_run_time_stays() {
    let tsx = text(&[("package.json", r#"{"scripts":{"start":"tsx a.ts"},"devDependencies":{"tsx":"4"}}"#)]);
    assert!(!tsx.contains("prune"), "{tsx}");
    let hook = text(&[("package.json", r#"{"scripts":{"start":"node a","postinstall":"prisma generate"}}"#)]);
    assert!(hook.contains("WORKDIR /app\nCOPY . .\nRUN --mount"), "{hook}");
    let brought =
        text(&[("package.json", r#"{"scripts":{"start":"node a"}}"#), ("node_modules/a/index.js", "")]);
    assert!(brought.contains("COPY . .\nRUN rm -rf node_modules\nRUN --mount"), "{brought}");
}

#[test]
fn applications_of_python() {
    check(&[
        (&[("main.py", "")], &["FROM python:3.13-slim", r#"CMD ["python", "main.py"]"#]),
        (
            &[
                ("requirements.txt", "fastapi\nuvicorn[standard]"),
                ("main.py", "api: FastAPI = FastAPI(title='x')"),
            ],
            &["CMD exec uvicorn main:api --host 0.0.0.0 --port $PORT"],
        ),
        (
            &[("requirements.txt", "fastapi"), ("src/main.py", "app = fastapi.FastAPI()")],
            &[
                "RUN --mount=type=cache,target=/root/.cache/pip pip install uvicorn",
                "ENV PYTHONUNBUFFERED=1 PORT=8080 HOME=/app PATH=/venv/bin:$PATH PYTHONPATH=/app/src",
                "CMD exec uvicorn main:app --host 0.0.0.0 --port $PORT",
            ],
        ),
        (
            &[
                ("requirements.txt", "fastapi\nuvicorn"),
                ("src/main.py", "app = FastAPI()"),
                ("src/__init__.py", ""),
            ],
            &[
                "ENV PYTHONUNBUFFERED=1 PORT=8080 HOME=/app PATH=/venv/bin:$PATH",
                "CMD exec uvicorn src.main:app --host 0.0.0.0 --port $PORT",
            ],
        ),
        (
            &[("requirements.txt", "Flask==3\ngunicorn"), ("app.py", "application = Flask(__name__)")],
            &[r#"CMD ["gunicorn", "app:application"]"#],
        ),
        (
            &[
                ("requirements.txt", "flask"),
                ("app/__init__.py", "def create_app(config=None):\n    app = Flask(__name__)"),
            ],
            &[r#"CMD ["gunicorn", "app:create_app()"]"#],
        ),
        (
            &[
                (
                    "pyproject.toml",
                    "[project]\nname='a'\nrequires-python='>=3.11,<3.13'\ndependencies=['fastapi[standard]>=0.1']",
                ),
                ("uv.lock", ""),
                ("app/main.py", "app = FastAPI()"),
            ],
            &[
                "FROM python:3.12-slim",
                "COPY pyproject.toml uv.lock ./",
                "&& UV_PROJECT_ENVIRONMENT=/venv uv sync --frozen --no-dev --no-install-project",
                "CMD exec uvicorn app.main:app --host 0.0.0.0 --port $PORT",
            ],
        ),
        (
            &[
                ("pyproject.toml", "[tool.poetry.dependencies]\npython='^3.10'\nflask='*'"),
                ("poetry.lock", ""),
                ("app.py", "app = Flask(__name__)"),
            ],
            &[
                "&& poetry install --only main --no-root",
                "RUN --mount=type=cache,target=/root/.cache/pip pip install gunicorn",
            ],
        ),
        (
            &[
                ("Pipfile", "[packages]\nflask='*'\n[requires]\npython_version='3.11'"),
                ("Pipfile.lock", ""),
                ("app.py", "app = Flask(__name__)"),
            ],
            &["FROM python:3.11-slim", "&& pipenv requirements > /tmp/locked.txt \\"],
        ),
        (
            &[("pyproject.toml", "[project]\nname='a'"), ("main.py", ""), (".python-version", "3.10.4\n")],
            &["FROM python:3.10-slim", "&& uv pip install -r pyproject.toml"],
        ),
        (
            &[
                ("manage.py", "DJANGO_SETTINGS_MODULE\", \"a.settings\""),
                ("a/asgi.py", ""),
                ("requirements.txt", "uvicorn"),
            ],
            &["CMD exec uvicorn a.asgi:application --host 0.0.0.0 --port $PORT"],
        ),
    ]);
}

#[test]
fn programs_of_go() {
    check(&[
        (
            &[("go.mod", "module m\ngo 1.22\ntoolchain go1.23.4\n"), ("main.go", "package main")],
            &["FROM golang:1.23 AS build", "-o /out/m .", r#"CMD ["/app/bin/m"]"#, "FROM alpine:3.22"],
        ),
        (
            &[("go.mod", "module m\n"), ("cmd/main.go", "package main")],
            &["FROM golang:1.25 AS build", "-o /out/m ./cmd"],
        ),
        (
            &[("go.mod", "module m\nrequire github.com/mattn/go-sqlite3 v1\n"), ("main.go", "package main")],
            &[
                "CGO_ENABLED=1 go build -trimpath -tags timetzdata -ldflags='-s -w' \\",
                "FROM debian:trixie-slim",
            ],
        ),
        (
            &[
                ("go.mod", "module m"),
                ("gen.go", "//go:build ignore\n\npackage main"),
                ("m.go", "package m"),
                ("cmd/a/a.go", "package main"),
            ],
            &["-o /out/a ./cmd/a"],
        ),
    ]);
    let vendored =
        text(&[("go.mod", "module m"), ("go.sum", ""), ("vendor/modules.txt", ""), ("a.go", "package main")]);
    assert!(!vendored.contains("go mod download"), "{vendored}");
}

#[test]
fn programs_of_rust() {
    const PACKAGE: (&str, &str) = ("Cargo.toml", "[package]\nname = 'shop'\n");
    check(&[
        (
            &[PACKAGE, ("src/main.rs", "")],
            &[
                "FROM rust:1-slim-trixie AS build",
                "cargo build --release --package shop --bin shop \\",
                r#"CMD ["/app/bin/shop"]"#,
            ],
        ),
        (
            &[PACKAGE, ("src/main.rs", ""), ("src/bin/import.rs", ""), ("rust-toolchain", "1.75.0")],
            &["FROM rust:1.75-slim-bookworm AS build", "cargo build --release --package shop --bin shop \\"],
        ),
        (
            &[
                ("Cargo.toml", "[package]\nname='a'\n[[bin]]\nname='serve'\npath='src/main.rs'"),
                ("src/main.rs", ""),
            ],
            &["cargo build --release --package a --bin serve \\"],
        ),
        (
            &[PACKAGE, ("src/main.rs", ""), ("rust-toolchain.toml", "[toolchain]\nchannel = '1.90'")],
            &["FROM rust:1.90-slim-trixie AS build"],
        ),
        (
            &[
                ("Cargo.toml", "[package]\nname='a'\ndefault-run='c'"),
                ("src/bin/b.rs", ""),
                ("src/bin/c/main.rs", ""),
            ],
            &["cargo build --release --package a --bin c \\"],
        ),
    ]);
}

#[test]
fn applications_of_php() {
    check(&[
        (&[("index.php", "")], &["FROM php:8.4-apache AS base", "COPY --chown=www-data:www-data . /app"]),
        (
            &[
                ("composer.json", r#"{"require":{"php":"~8.3.0","ext-intl":"*","ext-json":"*"}}"#),
                ("web/index.php", ""),
            ],
            &["FROM php:8.3-apache AS base", "RUN docker-php-ext-install -j2 intl mysqli pdo_mysql"],
        ),
        (
            &[("composer.json", r#"{"require":{"php":"^7.4 | ^8.1"}}"#), ("index.php", "")],
            &["FROM php:8.4-apache AS base"],
        ),
    ]);
}
