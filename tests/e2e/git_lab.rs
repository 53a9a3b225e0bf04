//! Repositories for the tests, a server that shows them, and base images at a registry: the sample application, and a
//! shell with a few tools.

use testkit::git::{GitServer, Repositories, Repository};

use crate::harness::{Installation, Setting};
use crate::sources::Registry;

/// The repository that most tests build.
pub const SHOP: &str = "acme/shop";

/// Everything that is outside of an installation.
pub struct Lab {
    pub registry: Registry,
    pub repositories: Repositories,
    /// Without https and without a login.
    pub server: GitServer,
}

impl Lab {
    pub fn start() -> Self {
        let repositories = Repositories::new().unwrap();
        let server = GitServer::start(&repositories).unwrap();
        Self { registry: Registry::start(), repositories, server }
    }

    /// What an installation has to be told of it.
    pub fn setting(&self) -> Setting {
        Setting {
            insecure: vec![self.registry.address().to_owned()],
            insecure_git: vec![self.server.host()],
            ..Setting::default()
        }
    }

    /// An installation that may use it.
    pub fn installation(&self) -> Installation {
        Installation::start_with(self.setting())
    }

    /// Address of the repository that most tests build.
    pub fn url(&self) -> String {
        self.server.url(SHOP)
    }

    /// That repository with a Dockerfile for the sample application, which says `text`.
    pub fn shop(&self, text: &str) -> Repository {
        let shop = self.repositories.make(SHOP).unwrap();
        self.say(&shop, text);
        shop
    }

    /// Commits another text and pushes it. Gives the commit's id.
    pub fn say(&self, shop: &Repository, text: &str) -> String {
        let base = self.registry.push_hello("demo/hello:1", &[]);
        let dockerfile = format!("FROM {base}\nENV HELLO_TEXT=\"{text}\"\n");
        shop.commit(&[("Dockerfile", &dockerfile)], &format!("Say {text}\n\nBecause of a test.")).unwrap()
    }

    /// An image with a shell. Gives its reference.
    pub fn tools(&self) -> String {
        self.registry.push_busybox("base/busybox:1")
    }
}
