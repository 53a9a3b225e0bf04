//! Repositories that want more than a Dockerfile.

use std::fs;
use std::os::unix::fs::symlink;

use super::{Bases, folder, made, make};

/// What stands in hostile values: nothing of it may begin a line of its own, or be a word of its own anywhere.
const EVIL: &str = "RUN evil";

#[test]
fn hostile_values_never_reach_a_line() {
    let bad = [
        "a\nRUN evil",
        "a\\nRUN evil",
        "22 && RUN evil",
        "$(RUN evil)",
        "a'; RUN evil; '",
        "a\" RUN evil \"",
        "-RUN evil",
    ];
    for value in bad {
        let json = serde_json::Value::from(value).to_string();
        let repositories = [
            vec![(
                "package.json",
                format!(
                    r#"{{"name":{json},"main":{json},"engines":{{"node":{json}}},"packageManager":{json},"scripts":{{"start":{json},"build":{json}}}}}"#
                ),
            )],
            vec![
                (
                    "package.json",
                    format!(
                        r#"{{"packageManager":"pnpm@{}","scripts":{{"start":"node a"}}}}"#,
                        &json[1..json.len() - 1]
                    ),
                ),
                (".nvmrc", value.to_owned()),
                (".node-version", value.to_owned()),
                ("pnpm-lock.yaml", format!("lockfileVersion: {value}")),
                (".env.example", format!("VITE_A {value}=1\nVITE_{value}=1\n")),
            ],
            vec![
                (
                    "package.json",
                    r#"{"scripts":{"build":"x"},"dependencies":{"@angular/core":"1"}}"#.to_owned(),
                ),
                (
                    "angular.json",
                    format!(
                        r#"{{"projects":{{{json}:{{"architect":{{"build":{{"options":{{"outputPath":{json}}}}}}}}}}}}}"#
                    ),
                ),
            ],
            vec![
                ("main.py", String::new()),
                (".python-version", value.to_owned()),
                ("runtime.txt", format!("python-{value}")),
                ("requirements.txt", value.to_owned()),
            ],
            vec![
                ("manage.py", format!("DJANGO_SETTINGS_MODULE', '{value}.settings'")),
                ("main.py", String::new()),
            ],
            vec![("main.py", format!("{value} = FastAPI(x)\n")), ("requirements.txt", "fastapi".to_owned())],
            vec![
                ("go.mod", format!("module x/{value}\ngo {value}\ntoolchain go{value}\n")),
                ("a.go", "package main".to_owned()),
            ],
            vec![
                (
                    "Cargo.toml",
                    format!("[package]\nname = {json}\ndefault-run = {json}\n[[bin]]\nname = {json}\n"),
                ),
                ("src/main.rs", String::new()),
                ("rust-toolchain", value.to_owned()),
            ],
            vec![
                (
                    "composer.json",
                    format!(
                        r#"{{"require":{{"php":{json},{json}:{json},"ext-x {}":"1"}}}}"#,
                        &json[1..json.len() - 1]
                    ),
                ),
                ("index.php", String::new()),
            ],
        ];
        for files in &repositories {
            let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
            match made(&files) {
                Ok(made) => assert!(!made.text.contains("evil"), "{value:?} in:\n{}", made.text),
                Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
            }
        }
    }
}

#[test]
fn hostile_names_of_files_never_reach_a_line() {
    for name in ["a\nRUN evil", "a b", "-o", "$(evil)", "a'b"] {
        let source = format!("cmd/{name}/main.go");
        let error = made(&[("go.mod", "module m"), (&source, "package main")]).unwrap_err().to_string();
        assert!(error.contains("no package main"), "{error}");
        let source = format!("src/bin/{name}.rs");
        let error = made(&[("Cargo.toml", "[package]\nname='a'"), (&source, "")]).unwrap_err();
        assert!(error.to_string().contains("no package has"), "{error}");
        let place = format!("{name}/go.mod");
        assert!(!made(&[(&place, "")]).unwrap_err().hint().contains("there is"));
    }
}

#[test]
fn a_start_command_stays_in_its_line() {
    let made = made(&[("Procfile", "web: a; RUN evil\n"), ("package.json", "{}")]).unwrap();
    assert!(made.text.ends_with(&format!("\nCMD a; {EVIL}\n")), "{}", made.text);
    for command in ["a \\", "a\rRUN evil", "a\0"] {
        let procfile = format!("web: {command}\nRUN evil\n");
        let error = super::made(&[("Procfile", &procfile), ("package.json", "{}")]).unwrap_err();
        assert_eq!(error.code().as_str(), "repository_invalid", "{command:?}");
    }
}

#[test]
fn a_link_that_leads_out_is_not_followed() {
    let folder = folder(&[("index.html", "")]);
    symlink("/etc/passwd", folder.path().join("package.json")).unwrap();
    let error = make(folder.path(), &Bases::default()).unwrap_err();
    let words = error.to_string();
    assert_eq!(
        words,
        "no Dockerfile can be made, because package.json is a link that leads out of the repository"
    );

    fs::remove_file(folder.path().join("package.json")).unwrap();
    symlink("../../../../../../etc/passwd", folder.path().join("package.json")).unwrap();
    assert_eq!(make(folder.path(), &Bases::default()).unwrap_err(), error);

    fs::remove_file(folder.path().join("package.json")).unwrap();
    symlink("/etc", folder.path().join("cmd")).unwrap();
    fs::write(folder.path().join("go.mod"), "module m").unwrap();
    assert_eq!(make(folder.path(), &Bases::default()).unwrap().kind.to_string(), "static site");
}

#[test]
fn a_link_inside_is_followed() {
    let folder = folder(&[("manifests/node.json", r#"{"scripts":{"start":"node a"}}"#)]);
    symlink("manifests/node.json", folder.path().join("package.json")).unwrap();
    assert_eq!(make(folder.path(), &Bases::default()).unwrap().kind.to_string(), "Node.js");
}

#[test]
fn nothing_is_read_but_small_plain_files() {
    let large = "x".repeat(1024 * 1024 + 1);
    let error = made(&[("package.json", &large)]).unwrap_err().to_string();
    assert!(error.contains("package.json is larger than 1 MiB"), "{error}");

    let folder = folder(&[("package.json/inside", "")]);
    let error = make(folder.path(), &Bases::default()).unwrap_err().to_string();
    assert!(error.contains("package.json is no plain file"), "{error}");

    let folder = super::folder(&[("main.py", "")]);
    let pipe = folder.path().join("Procfile");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    let error = make(folder.path(), &Bases::default()).unwrap_err().to_string();
    assert!(error.contains("Procfile is no plain file"), "{error}");

    let folder = super::folder(&[]);
    fs::write(folder.path().join("package.json"), b"{\"a\":\"\xff\"}").unwrap();
    let error = make(folder.path(), &Bases::default()).unwrap_err().to_string();
    assert!(error.contains("package.json is no UTF-8 text"), "{error}");
}

#[test]
fn files_that_are_broken_are_named() {
    let deep = "[".repeat(100_000);
    for (file, text, words) in [
        ("package.json", "{", "package.json is no valid JSON"),
        ("package.json", "[]", "package.json is no JSON object"),
        ("package.json", &deep, "package.json is no valid JSON"),
        ("composer.json", "x", "composer.json is no valid JSON"),
        ("Cargo.toml", "[", "Cargo.toml is no valid TOML"),
        ("pyproject.toml", "a =", "pyproject.toml is no valid TOML"),
        ("Pipfile", &deep, "Pipfile is no valid TOML"),
    ] {
        let error = made(&[(file, text)]).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.hint().contains(&format!("mend {file}")));
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}
