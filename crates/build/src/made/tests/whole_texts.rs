//! One whole text a kind, as a person will read it.

use super::text;

macro_rules! expected {
    ($name:literal) => {
        include_str!(concat!("expected/", $name, ".Dockerfile"))
    };
}

#[test]
fn a_static_site() {
    assert_eq!(text(&[("index.html", ""), ("404.html", ""), ("README.md", "")]), expected!("static"));
}

#[test]
fn a_site_that_vite_builds() {
    let manifest =
        r#"{"scripts": {"dev": "vite", "build": "vite build"}, "devDependencies": {"vite": "^7"}}"#;
    let variables = "VITE_API_URL=https://api.example.com\nDATABASE_URL=postgres://\nVITE_x=\n";
    let files = [
        ("package.json", manifest),
        ("package-lock.json", "{}"),
        ("index.html", ""),
        (".env.example", variables),
    ];
    assert_eq!(text(&files), expected!("vite"));
}

#[test]
fn a_server_in_node() {
    let manifest =
        r#"{"scripts": {"start": "node dist/server.js", "build": "tsc"}, "engines": {"node": ">=18 <23"}}"#;
    let files = [
        ("package.json", manifest),
        ("package-lock.json", r#"{"node_modules/node-gyp": {}}"#),
        (".npmrc", ""),
    ];
    assert_eq!(text(&files), expected!("node"));
}

#[test]
fn django() {
    let manage = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')";
    let files = [
        ("manage.py", manage),
        ("shop/wsgi.py", ""),
        ("requirements.txt", "Django==5.2\ngunicorn>=23\npsycopg2\nwhitenoise\n"),
        ("runtime.txt", "python-3.12.4\n"),
        ("package.json", r#"{"scripts": {"build": "tailwind"}}"#),
    ];
    assert_eq!(text(&files), expected!("python"));
}

#[test]
fn a_server_in_go() {
    let files = [
        ("go.mod", "module example.com/me/shop/v2\n\ngo 1.24.1\n"),
        ("go.sum", ""),
        ("cmd/shop/main.go", "// Starts the shop.\npackage main\n"),
        ("cmd/import/main.go", "package main"),
        ("templates/index.html", ""),
    ];
    assert_eq!(text(&files), expected!("go"));
}

#[test]
fn a_workspace_in_rust() {
    let files = [
        ("Cargo.toml", "[workspace]\nmembers = [\"crates/*\"]\n"),
        ("Cargo.lock", "[[package]]\nname = \"openssl-sys\"\nversion = \"0.9\"\n"),
        ("crates/shop/Cargo.toml", "[package]\nname = \"shop\"\n"),
        ("crates/shop/src/main.rs", ""),
        ("crates/stock/Cargo.toml", "[package]\nname = \"stock\"\n"),
        ("crates/stock/src/lib.rs", ""),
    ];
    assert_eq!(text(&files), expected!("rust"));
}

#[test]
fn laravel() {
    let composer = r#"{"require": {"php": "^8.2", "ext-gd": "*", "laravel/framework": "^12"}}"#;
    let files = [
        ("composer.json", composer),
        ("composer.lock", "{}"),
        ("public/index.php", ""),
        ("package.json", r#"{"scripts": {"build": "vite build"}}"#),
        ("package-lock.json", "{}"),
    ];
    assert_eq!(text(&files), expected!("php"));
}
