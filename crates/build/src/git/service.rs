//! Finding, fetching and writing: the story of a call.

use std::path::Path;
use std::sync::Arc;

use model::{BuildSettings, Commit, Revision};

use super::address::Named;
use super::call::{Call, Shop};
use super::checkout::{self, Place, Written};
use super::error::{Cause, GitError};
use super::keys::{self, KeyPair};
use super::listing::{Branches, Found};
use super::running::Deadline;
use super::submodules::{self, Submodule};
use super::weight::{Budget, DEEPEST};
use super::{GitConfig, Remote, secrets};

/// Reads repositories. A dropped call ends at once, with every process and file of it.
#[derive(Clone, Debug)]
pub struct Git {
    shop: Arc<Shop>,
}

impl Git {
    /// Makes or empties the scratch folder.
    ///
    /// # Errors
    /// That cannot be done.
    pub fn open(config: GitConfig) -> Result<Self, GitError> {
        secrets::open_scratch(&config.scratch)
            .map_err(|error| GitError::new("Git", Cause::storage("open", config.scratch.clone(), error)))?;
        let named = Named::new(&config.insecure_hosts, &config.private_hosts);
        Ok(Self { shop: Arc::new(Shop { config, named }) })
    }

    /// Which commit a revision is now.
    ///
    /// # Errors
    /// The repository cannot be read, or has no such revision. A commit that is asked for by its id is not looked for
    /// before [`Git::checkout`].
    pub async fn find(&self, remote: &Remote, revision: &Revision) -> Result<Found, GitError> {
        let found = Call::find(&self.shop, remote, revision, self.deadline()).await;
        found.map(|(_, found)| found).map_err(|cause| GitError::new(repository(remote), cause))
    }

    /// The branches of a repository.
    ///
    /// # Errors
    /// The repository cannot be read.
    pub async fn look(&self, remote: &Remote) -> Result<Branches, GitError> {
        let look = async {
            // A repository without a commit has no branch, and can be read.
            match Call::find(&self.shop, remote, &Revision::Default, self.deadline()).await {
                Ok((call, _)) => call.branches().await,
                Err(Cause::Empty) => Call::open(&self.shop, remote, self.deadline()).await?.branches().await,
                Err(cause) => Err(cause),
            }
        };
        look.await.map_err(|cause| GitError::new(repository(remote), cause))
    }

    /// Writes the files of a revision into an empty folder: exactly those, with no trace of git. Links are written as
    /// they are and may lead anywhere. Gives the commit.
    ///
    /// # Errors
    /// The repository cannot be read or goes beyond a limit. Nothing is left in the folder then.
    pub async fn checkout(
        &self,
        remote: &Remote,
        revision: &Revision,
        settings: &BuildSettings,
        into: &Path,
    ) -> Result<Commit, GitError> {
        let checkout = async {
            let place = Place::claim(into)?;
            let commit = self.fill(remote, revision, settings, into).await?;
            place.keep();
            Ok(commit)
        };
        checkout.await.map_err(|cause| GitError::new(repository(remote), cause))
    }

    /// The keys that an ssh server shows now, to be pinned: `ssh-ed25519 AAAA...`. The host is `HOST[:PORT]`.
    ///
    /// # Errors
    /// It cannot be reached.
    pub async fn host_keys(&self, host: &str) -> Result<Vec<String>, GitError> {
        keys::of_server(&self.shop, host)
            .await
            .map_err(|cause| GitError::new(format!("the host keys of {host}"), cause))
    }

    /// Makes a key pair for ssh. The comment is for people.
    ///
    /// # Errors
    /// `ssh-keygen` is missing or failed.
    pub async fn make_key(&self, comment: &str) -> Result<KeyPair, GitError> {
        keys::make(&self.shop, comment).await.map_err(|cause| GitError::new("making a deploy key", cause))
    }

    async fn fill(
        &self,
        remote: &Remote,
        revision: &Revision,
        settings: &BuildSettings,
        into: &Path,
    ) -> Result<Commit, Cause> {
        let limits = &self.shop.config.limits;
        let deadline = self.deadline();
        let mut budget =
            Budget { bytes: limits.total, files: limits.files, file: limits.file, depth: DEEPEST };
        let (call, found) = Call::find(&self.shop, remote, revision, deadline).await?;
        let written = checkout::write(&call, &found, into, budget, settings).await?;
        spend(&mut budget, &written);
        let mut waiting = open_submodules(&written, call.remote(), 1)?;
        let mut count = 0;
        // Each is fetched when the files around it are there.
        while let Some((depth, submodule)) = waiting.pop() {
            count += 1;
            if count > submodules::MOST || depth > submodules::DEEPEST {
                let most = submodules::MOST;
                return Err(Cause::TooLarge(format!("it has more than {most} submodules, or too deep ones")));
            }
            let below = self.fill_submodule(&submodule, settings, into, &mut budget, deadline).await;
            let url = submodule.remote.url.to_string();
            let below = below.map_err(|cause| submodules::wrap(&submodule.path, &url, cause))?;
            let more = open_submodules(&below, &submodule.remote, depth + 1)?;
            waiting.extend(more.into_iter().map(|(depth, mut inner)| {
                inner.path = format!("{}/{}", submodule.path, inner.path);
                (depth, inner)
            }));
        }
        Ok(written.commit)
    }

    async fn fill_submodule(
        &self,
        submodule: &Submodule,
        settings: &BuildSettings,
        into: &Path,
        budget: &mut Budget,
        deadline: Deadline,
    ) -> Result<Written, Cause> {
        let folder = own_folder(into, &submodule.path)?;
        let revision = Revision::Commit { id: submodule.commit.clone(), branch: None };
        let (call, found) = Call::find(&self.shop, &submodule.remote, &revision, deadline).await?;
        let written =
            checkout::write(&call, &found, &folder, budget.below(&submodule.path), settings).await?;
        spend(budget, &written);
        Ok(written)
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(self.shop.config.limits.time)
    }
}

/// How a failure begins.
fn repository(remote: &Remote) -> String {
    format!("the repository {}", remote.url)
}

fn spend(budget: &mut Budget, written: &Written) {
    budget.bytes = budget.bytes.saturating_sub(written.weight.bytes);
    budget.files = budget.files.saturating_sub(written.weight.files);
}

/// The submodules of what was written, with their depth.
fn open_submodules(
    written: &Written,
    remote: &Remote,
    depth: usize,
) -> Result<Vec<(usize, Submodule)>, Cause> {
    let found = submodules::read(&written.weight.submodules, &written.modules, remote)?;
    Ok(found.into_iter().map(|submodule| (depth, submodule)).collect())
}

/// The empty folder that git made for a submodule. No part of its path may be a link: it would lead out.
fn own_folder(into: &Path, path: &str) -> Result<std::path::PathBuf, Cause> {
    let mut folder = into.to_owned();
    for part in path.split('/') {
        folder.push(part);
        let is_folder = std::fs::symlink_metadata(&folder).is_ok_and(|data| data.is_dir());
        if !is_folder || matches!(part, "" | "." | ".." | ".git") {
            return Err(Cause::Invalid("there is no folder of its own for it".to_owned()));
        }
    }
    match std::fs::read_dir(&folder).map_err(|error| Cause::storage("read", &folder, error))?.next() {
        None => Ok(folder),
        Some(_) => Err(Cause::Invalid("its folder is not empty".to_owned())),
    }
}
