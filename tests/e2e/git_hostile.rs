//! Repositories that want something else than to be built. Each ends with a clear error, what serves goes on, and nothing
//! is left of the attempt.

use std::path::Path;

use testkit::git::Repository;

use crate::census;
use crate::git_lab::Lab;
use crate::harness::{Installation, can_run};

/// A bench on which `shop` serves, built from a repository that does nothing wrong.
struct Bench {
    lab: Lab,
    darsena: Installation,
}

impl Bench {
    fn start() -> Self {
        let lab = Lab::start();
        lab.shop("still here");
        let darsena = lab.installation();
        darsena.run_ok(&["deploy", "shop", "--git", &lab.url()]);
        Self { lab, darsena }
    }

    /// Another repository.
    fn repository(&self, name: &str) -> (Repository, String) {
        (self.lab.repositories.make(name).unwrap(), self.lab.server.url(name))
    }

    /// Deploys it under a name of its own, which fails for one of these causes. Gives the words.
    fn fails(&self, name: &str, url: &str, more: &[&str], causes: &[&str]) -> String {
        let words = self.darsena.run_failing(&[&["deploy", name, "--git", url], more].concat());
        let is_told = causes.iter().any(|cause| words.contains(&format!("cause: {cause} ")));
        assert!(is_told, "none of {causes:?} is told: {words}");
        words
    }

    /// Only the application that does nothing wrong is there, and it serves.
    fn is_clean(&self) {
        assert!(self.darsena.get("shop.localhost", "/").1.contains("still here"));
        let left = census::wait_for(&self.darsena, 1);
        assert!(left.is_empty(), "{}", left.join("\n"));
    }
}

#[test]
fn addresses_and_revisions_are_no_options_and_run_no_program() {
    if !can_run() {
        return;
    }
    let bench = Bench::start();
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("ran");
    let mark = mark.to_str().unwrap();
    for (url, words) in [
        (format!("--upload-pack=touch {mark}"), "cannot hold"),
        (format!("--upload-pack=touch{mark}"), "no way to a repository"),
        (format!("ext::sh -c touch% {mark}"), "cannot hold"),
        (format!("ext::touch%20{mark}"), ""),
        (format!("file://{}", bench.lab.repositories.bare("acme/shop").display()), "no way to a repository"),
        (bench.lab.repositories.bare("acme/shop").display().to_string(), ""),
        (format!("ssh://-oProxyCommand=touch{mark}/x"), "no host name"),
        (format!("-oProxyCommand=touch{mark}:x"), ""),
    ] {
        let told = bench.darsena.run_failing(&["deploy", "bad", &format!("--git={url}")]);
        assert!(told.contains(words), "{url}: {told}");
        let told = bench.darsena.run_failing(&["git", "inspect", "--", &url]);
        assert!(!told.contains("internal error"), "{url}: {told}");
    }
    for revision in ["--upload-pack=x", "-x", "a..b", "refs/heads/../../x", "x:y", "@{-1}"] {
        for option in ["--branch", "--git-tag"] {
            let told = bench.darsena.run_failing(&["deploy", "shop", &format!("{option}={revision}")]);
            assert!(!told.contains("internal error"), "{option}={revision}: {told}");
        }
    }
    assert!(!Path::new(mark).exists(), "a program was run");
    assert_eq!(bench.darsena.json(&["apps", "list"]).as_array().unwrap().len(), 1);
    bench.is_clean();
}

#[test]
fn names_that_begin_with_a_dash_are_files_and_branches_like_others() {
    if !can_run() {
        return;
    }
    let bench = Bench::start();
    let (dashes, url) = bench.repository("acme/dashes");
    let tools = bench.lab.tools();
    let dockerfile = format!("FROM {tools}\nCOPY . /in/\nRUN ls -- /in && cat /in/-rf\nRUN exit 3\n");
    dashes.write("-rf", b"a file of this name").unwrap();
    dashes.write("--help", b"x").unwrap();
    dashes.write("-o ProxyCommand=x/--", b"x").unwrap();
    dashes.commit(&[("Dockerfile", &dockerfile)], "--amend").unwrap();
    // Only its last step is wrong, on purpose: what came before has worked.
    let words = bench.fails("dashes", &url, &[], &["build_failed"]);
    assert!(words.contains("exit code 3"), "{words}");
    let id = bench.darsena.json(&["deployments", "show", "dashes"])["id"].as_str().unwrap().to_owned();
    let log = bench.darsena.run_ok(&["logs", "dashes", "--deployment", &id]);
    assert!(log.contains("a file of this name") && log.contains("--amend"), "{log}");

    // A branch that no command of git would make.
    let head = dashes.head().unwrap();
    let refs = dashes.bare().join("refs/heads");
    std::fs::write(refs.join("--output=x"), format!("{head}\n")).unwrap();
    std::fs::write(dashes.bare().join("HEAD"), "ref: refs/heads/--output=x\n").unwrap();
    bench.fails("dashes", &url, &[], &["revision_not_found", "repository_invalid", "build_failed"]);
    bench.is_clean();
}

#[test]
fn links_and_submodules_lead_nowhere_else() {
    if !can_run() {
        return;
    }
    let bench = Bench::start();
    let tools = bench.lab.tools();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "canary-of-the-host").unwrap();
    let outside = folder.path().join("secret");
    let secrets = [outside.to_str().unwrap(), "../../../../../../etc/passwd", "/proc/self/environ"];
    for (number, target) in secrets.iter().enumerate() {
        let name = format!("link-{number}");
        let (links, url) = bench.repository(&format!("acme/{name}"));
        links.link("secret", target).unwrap();
        let dockerfile = format!("FROM {tools}\nCOPY secret /copied\nRUN cat /copied\n");
        links.commit(&[("Dockerfile", &dockerfile)], "look").unwrap();
        let words =
            bench.fails(&name, &url, &[], &["build_failed", "repository_invalid", "dockerfile_invalid"]);
        let id = bench.darsena.json(&["deployments", "show", &name])["id"].as_str().unwrap().to_owned();
        let log = bench.darsena.run_ok(&["logs", &name, "--deployment", &id]);
        for told in [words, log] {
            assert!(!told.contains("canary-of-the-host") && !told.contains("root:"), "{target}: {told}");
        }
    }

    // The Dockerfile and the folder to build are looked for in the repository.
    let (links, url) = bench.repository("acme/places");
    links.link("Dockerfile", outside.to_str().unwrap()).unwrap();
    links.link("up", "..").unwrap();
    links.commit(&[("README", "")], "look").unwrap();
    let causes = ["repository_invalid", "dockerfile_invalid", "dockerfile_not_found"];
    for more in [&[][..], &["--path", "up"], &["--context", "up"]] {
        let words = bench.fails("places", &url, more, &causes);
        assert!(!words.contains("canary-of-the-host"), "{words}");
    }

    let (modules, url) = bench.repository("acme/modules");
    let commit = modules.commit(&[("Dockerfile", "FROM scratch\n")], "first").unwrap();
    let mark = folder.path().join("ran");
    modules.submodule("lib", &format!("ext::touch {}", mark.display()), &commit).unwrap();
    modules.commit_index("a submodule").unwrap();
    bench.fails("modules", &url, &["--submodules"], &["git_url_invalid", "repository_invalid"]);
    assert!(!mark.exists(), "a program was run");
    bench.is_clean();
}

#[test]
fn what_is_too_large_ends_before_it_fills_the_machine() {
    if !can_run() {
        return;
    }
    let bench = Bench::start();
    // A hundred kilobytes at the server that become three gigabytes here: forty names of one file.
    let (bomb, url) = bench.repository("acme/bomb");
    let zeros = vec![0; 80 << 20];
    let file = bomb.git_with(&["hash-object", "-w", "--stdin"], &zeros).unwrap();
    bomb.commit(&[("Dockerfile", "FROM scratch\n")], "a spark").unwrap();
    for number in 0..40 {
        bomb.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{file},zeros-{number}")])
            .unwrap();
    }
    bomb.commit_index("a bomb").unwrap();
    bench.fails("bomb", &url, &[], &["repository_too_large"]);

    let tools = bench.lab.tools();
    for (name, command, causes) in [
        // More than ten gigabytes, in one file and in several; none of them has to be written for that.
        ("huge", "busybox fallocate -l 11G /huge", &["build_too_large", "build_failed"][..]),
        (
            "many",
            "for i in 1 2 3 4 5 6; do busybox fallocate -l 2G /$i || exit 4; done",
            &["build_too_large"],
        ),
        (
            "forks",
            "b() { b | b & }; b; sleep 3; exit 3",
            &["build_too_large", "build_failed", "out_of_memory"],
        ),
    ] {
        let (repository, url) = bench.repository(&format!("acme/{name}"));
        let dockerfile = format!("FROM {tools}\nRUN {command}\n");
        repository.commit(&[("Dockerfile", &dockerfile)], name).unwrap();
        bench.fails(name, &url, &[], causes);
        bench.is_clean();
    }
}
