//! Repositories without a Dockerfile: one is made, shown, and can be edited.

use std::fs;
use std::path::Path;

use testkit::git::{GitServer, Repositories};
use testkit::image::Tar;

use crate::harness::{Installation, Setting, can_run};
use crate::sources::Registry;

/// Answers with who it runs as. Nothing but what Debian's smallest package of Python has.
const PYTHON: &str = r#"
import os, socket

listener = socket.create_server(("0.0.0.0", int(os.environ["PORT"])))
while True:
    connection, _ = listener.accept()
    connection.recv(65536)
    text = "python as %d in %s" % (os.getuid(), os.getcwd())
    connection.sendall(("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(text), text)).encode())
    connection.close()
"#;

#[test]
fn a_repository_without_a_dockerfile_gets_one() {
    if !can_run() {
        return;
    }
    let registry = Registry::start();
    registry.push_with_shell("hub/caddy:2.10-alpine", caddy);
    registry.push_with_shell("hub/python:3.13-slim", python);
    let repositories = Repositories::new().unwrap();
    let server = GitServer::start(&repositories).unwrap();
    let darsena = Installation::start_with(Setting {
        insecure: vec![registry.address().to_owned()],
        insecure_git: vec![server.host()],
        base_images: Some(format!("{}/hub", registry.address())),
        ..Setting::default()
    });

    a_site_is_served_and_its_dockerfile_can_be_edited(&darsena, &repositories, &server.url("acme/site"));

    let program = repositories.make("acme/program").unwrap();
    program.commit(&[("main.py", PYTHON)], "A program").unwrap();
    darsena.run_ok(&["deploy", "program", "--git", &server.url("acme/program"), "--port", "9100"]);
    assert_eq!(darsena.get("program.localhost", "/").1, "python as 1000 in /app");

    let unknown = repositories.make("acme/unknown").unwrap();
    unknown.commit(&[("README.md", "Words"), ("backend/go.mod", "module m")], "Words").unwrap();
    let words = darsena.run_failing(&["deploy", "unknown", "--git", &server.url("acme/unknown")]);
    assert!(words.contains("dockerfile_not_found"), "{words}");
    for looked_for in ["Dockerfile", "package.json", "requirements.txt", "go.mod", "Cargo.toml", "index.php"]
    {
        assert!(words.contains(looked_for), "{looked_for} is not named: {words}");
    }
    assert!(words.contains("backend/go.mod") && words.contains("--path"), "{words}");
}

fn a_site_is_served_and_its_dockerfile_can_be_edited(
    darsena: &Installation,
    repositories: &Repositories,
    url: &str,
) {
    let site = repositories.make("acme/site").unwrap();
    let files =
        [("index.html", "<h1>made</h1>"), ("404.html", "not here"), (".env", "KEY=1"), ("about.html", "who")];
    site.commit(&files, "A site").unwrap();

    let shown = darsena.run_ok(&["git", "inspect", url]);
    assert!(shown.contains("made for static site") && shown.contains("/hub/caddy:2.10-alpine"), "{shown}");

    darsena.run_ok(&["deploy", "site", "--git", url]);
    let get = |path: &str| darsena.get("site.localhost", path);
    assert_eq!(get("/"), (200, "<h1>made</h1>".to_owned()));
    assert_eq!(get("/about"), (200, "who".to_owned()));
    assert_eq!(get("/nowhere"), (404, "not here".to_owned()));
    assert_eq!(get("/.env").0, 404, "what is hidden is not served");

    let text = darsena.run_ok(&["git", "inspect", url, "--dockerfile"]);
    let edited = text.replace("COPY . /srv\n", "COPY . /srv\nRUN printf edited > /srv/edited.txt\n");
    assert_ne!(text, edited, "{text}");
    let file = darsena.data().join("edited");
    fs::write(&file, edited).unwrap();
    darsena.run_ok(&["deploy", "site", "--dockerfile-text", file.to_str().unwrap()]);
    assert_eq!(get("/edited.txt"), (200, "edited".to_owned()));

    // The text stays with the application.
    site.commit(&[("index.html", "<h1>later</h1>")], "Later").unwrap();
    darsena.run_ok(&["deploy", "site"]);
    assert_eq!(get("/").1, "<h1>later</h1>");
    assert_eq!(get("/edited.txt"), (200, "edited".to_owned()));
}

/// Debian's Caddy, where the official image has its own.
fn caddy(files: Tar) -> Tar {
    let program = Path::new("/usr/bin/caddy");
    assert!(program.exists(), "{} is missing: install caddy", program.display());
    files.host_program(program).unwrap().dir("etc/caddy", 0o755)
}

/// Debian's Python with the modules that its smallest package has.
fn python(files: Tar) -> Tar {
    let program = fs::canonicalize("/usr/bin/python3").expect("python3-minimal is installed");
    let name = program.file_name().unwrap().to_str().unwrap().to_owned();
    let modules = Path::new("/usr/lib").join(&name);
    let mut files = files.host_program(&program).unwrap().symlink("usr/bin/python", &name);
    for entry in fs::read_dir(&modules).unwrap() {
        let path = entry.unwrap().path();
        let is_wanted = path.extension().is_some_and(|end| end == "py")
            || ["collections", "encodings", "importlib", "re"].iter().any(|name| path.ends_with(name));
        if is_wanted {
            files = files.host_tree(&path).unwrap();
        }
    }
    files
}
