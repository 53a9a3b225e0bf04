//! What the rest of Darsena knows about building: an order, what it needs, what comes of it. Another builder than
//! the one of this machine can stand in.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use model::image::{Digest, Reference};
use model::{AppId, BuildSettings, DeploymentId, Failure};

use crate::Secret;

/// Makes images. Dropping a call ends the build at once, with everything that it started.
#[async_trait]
pub trait Builder: Send + Sync {
    /// The Dockerfile that a checkout is built with, for people to see. It runs nothing.
    async fn dockerfile(&self, checkout: &Path, settings: &BuildSettings) -> Result<Dockerfile, Failure>;

    /// Builds. Safe to repeat.
    async fn build(&self, order: &Order, surroundings: &dyn Surroundings) -> Result<Built, Failure>;

    /// Removes what a build left beside the cache: its image above all. Nothing to remove is fine.
    async fn clear(&self, build: DeploymentId) -> std::io::Result<()>;

    /// Removes what is kept for the builds of an application. Nothing to remove is fine.
    async fn forget(&self, app: AppId) -> std::io::Result<()>;

    /// The applications for whose builds something is kept.
    async fn kept(&self) -> std::io::Result<Vec<AppId>>;

    /// What this machine offers for building, for `darsena doctor`.
    async fn check(&self) -> Vec<Check>;
}

/// A build to make.
#[derive(Clone, Debug)]
pub struct Order {
    pub build: DeploymentId,
    /// Whose cache it uses.
    pub app: AppId,
    /// The files of the commit.
    pub checkout: PathBuf,
    pub settings: BuildSettings,
    /// Variables for the build, by name: values of the `ARG`s of that name, and secrets
    /// (`RUN --mount=type=secret,id=NAME`) of that id.
    pub variables: Vec<(String, Secret)>,
}

/// What a build made.
#[derive(Clone, Debug)]
pub struct Built {
    /// Folder that holds an OCI image layout (image-spec, image-layout.md) with one image. Stays until
    /// [`Builder::clear`].
    pub layout: PathBuf,
    /// The base images that went into it.
    pub bases: Vec<(Reference, Digest)>,
}

/// What a build needs and does not have. Every failure ends the build and is its outcome.
#[async_trait]
pub trait Surroundings: Send + Sync {
    /// The manifest for linux/amd64 that a base image's reference names now.
    async fn resolve(&self, base: &Base) -> Result<Digest, Failure>;

    /// Writes a resolved base image into an empty folder, as an OCI image layout with one manifest.
    async fn fetch(&self, base: &Base, manifest: &Digest, into: &Path) -> Result<(), Failure>;

    /// Puts a process and its children under the limits of builds and connects its network namespace. It has run
    /// nothing of the repository yet.
    async fn admit(&self, pid: u32) -> Result<(), Failure>;

    /// Ends whatever is left of the admitted process, and takes limits and network away. Called at the end of each
    /// build that was admitted, unless the call is dropped. Gives whether its memory ran out.
    async fn dismiss(&self) -> bool;

    /// What goes on, as it goes on. Must not wait.
    fn told(&self, news: News);
}

/// A base image as a Dockerfile names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    pub reference: Reference,
    /// Line of the Dockerfile, from 1.
    pub line: usize,
}

/// What goes on in a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A step of the Dockerfile begins; the one before it is over.
    Step {
        /// From 1, over all stages.
        number: u32,
        of: u32,
        /// Name of its stage, or the stage's number from 1.
        stage: String,
        /// The instruction, as written.
        text: String,
    },
    /// The step that goes on took its result from the cache.
    Cached,
    /// A line that a program of the build printed.
    Line { text: String, is_error: bool },
    /// So many lines were printed since the last one that was told: more than are passed on.
    LeftOut { lines: u64 },
}

/// The Dockerfile of a checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerfile {
    pub text: String,
    pub origin: Origin,
}

/// Where a Dockerfile comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file of the repository, by its path there.
    Found(String),
    /// Made, for this kind of repository: `static site`, `Node.js`, `Python`, `Go`, `Rust`, `PHP`.
    Made(String),
    /// The text of the application's settings.
    Given,
}

/// One thing that building needs, and whether this machine has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub name: String,
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// What to do when it is not in order.
    pub hint: Option<String>,
}
