//! The other source: from a Git repository to an application with a URL, and everything after that.

use testkit::git::{GitServer, Repositories, Repository};

use crate::harness::{Installation, Setting, can_run, rows};
use crate::sources::Registry;

/// A public repository without https, a registry with a base image, and an installation that knows both.
pub struct Bench {
    pub registry: Registry,
    pub repository: Repository,
    pub server: GitServer,
    pub darsena: Installation,
    /// Where a test names the moments at which the control plane is held.
    pub points: tempfile::TempDir,
    repositories: Repositories,
}

impl Bench {
    /// `None` when the test cannot run here.
    pub fn start() -> Option<Self> {
        if !can_run() {
            return None;
        }
        let registry = Registry::start();
        registry.push_busybox("base/busybox:1");
        let repositories = Repositories::new().unwrap();
        let repository = repositories.make("acme/site").unwrap();
        let server = GitServer::start(&repositories).unwrap();
        let points = tempfile::tempdir().unwrap();
        let darsena = Installation::start_with(Setting {
            insecure: vec![registry.address().to_owned()],
            insecure_git: vec![server.host()],
            log: "info".to_owned(),
            failpoints: Some(points.path().to_owned()),
            ..Setting::default()
        });
        Some(Self { registry, repository, server, darsena, points, repositories })
    }

    pub fn url(&self) -> String {
        self.server.url("acme/site")
    }

    /// Commits a site whose page is made in a first stage and served by a second one. Gives the commit.
    pub fn commit_site(&self, words: &str) -> String {
        let files =
            [("Dockerfile", &*self.dockerfile()), ("page.txt", words), ("notes.md", "not for the image")];
        self.repository.write(".dockerignore", b"*.md\n").unwrap();
        self.repository.commit(&files, &format!("Say {words}")).unwrap()
    }

    /// The installation, and apart from it everything that it has its images from.
    pub fn without_sources(self) -> (Installation, impl Sized) {
        (self.darsena, (self.registry, self.repository, self.server, self.points, self.repositories))
    }

    pub fn dockerfile(&self) -> String {
        let base = format!("{}/base/busybox:1", self.registry.address());
        format!(
            "FROM {base} AS pages\n\
             ARG GREETING=nobody\n\
             WORKDIR /work\n\
             COPY . .\n\
             RUN mkdir /site && echo \"$GREETING: $(cat page.txt)\" > /site/index.html && ls > /site/files.txt\n\
             FROM {base}\n\
             COPY --from=pages /site /site\n\
             EXPOSE 8080\n\
             STOPSIGNAL SIGKILL\n\
             CMD [\"busybox\", \"httpd\", \"-f\", \"-v\", \"-p\", \"8080\", \"-h\", \"/site\"]\n"
        )
    }

    fn page(&self) -> String {
        let (status, body) = self.darsena.get("site.localhost", "/");
        assert_eq!(status, 200, "{body}");
        body
    }
}

#[test]
fn a_repository_becomes_an_application_with_a_url() {
    let Some(bench) = Bench::start() else { return };
    let darsena = &bench.darsena;
    let first = bench.commit_site("first");

    let printed = darsena.run_ok(&["deploy", "site", "--git", &bench.url(), "--build-env", "GREETING=ahoy"]);
    let url = format!("http://site.localhost:{}/", darsena.http.port());
    assert_eq!(printed.lines().last(), Some(url.as_str()), "{printed}");
    assert_eq!(bench.page(), "ahoy: first\n");
    let files = darsena.get("site.localhost", "/files.txt").1;
    assert!(files.contains("page.txt") && !files.contains("notes.md"), "the ignored file stays out: {files}");

    // The commit is on the deployment, and the log tells the steps.
    let deployments = rows(&darsena.json(&["deployments", "list", "site"]));
    assert_eq!(deployments[0]["commit_sha"], first.as_str(), "{}", deployments[0]);
    let id = deployments[0]["id"].as_str().unwrap();
    let log = darsena.run_ok(&["logs", "site", "--deployment", id]);
    assert!(log.contains("Step 1 of 10") && log.contains("COPY --from=pages /site /site"), "{log}");

    // The next commit takes its place.
    bench.commit_site("second");
    darsena.run_ok(&["deploy", "site"]);
    assert_eq!(bench.page(), "ahoy: second\n");

    // A build that fails leaves it alone, and says which step it was.
    let broken =
        bench.dockerfile().replace("RUN mkdir /site", "RUN echo oh dear >&2 && exit 3 && mkdir /site");
    bench.repository.commit(&[("Dockerfile", &*broken)], "Break it").unwrap();
    let words = darsena.run_failing(&["deploy", "site"]);
    assert!(words.contains("exit 3") && words.contains("oh dear"), "{words}");
    assert_eq!(bench.page(), "ahoy: second\n");

    // Back again, exactly, with neither repository nor registry.
    let (darsena, sources) = bench.without_sources();
    drop(sources);
    darsena.run_ok(&["deployments", "rollback", "site"]);
    crate::harness::eventually("the first commit serves again", || {
        darsena.get("site.localhost", "/").1 == "ahoy: first\n"
    });
    crate::harness::eventually("one container is left, and nothing of a build", || {
        darsena.container_pids().len() == 1
    });
}
