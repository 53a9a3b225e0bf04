//! From a revision to a commit and its files.

use std::path::{Path, PathBuf};

use build::git::{GitError, Remote};
use model::deployment::Event;
use model::{AppName, BuildSettings, Commit, Deployment, Failure, FailureCode, GitSource, Phase, Revision};

use crate::explain;
use crate::git_login::address;
use crate::platform::Platform;
use crate::pull::sentence;
use crate::steps::{StepResult, store_failure};

const PHASE: Phase = Phase::Checkout;

impl Platform {
    /// The commit that the deployment builds from here on, written down with it, and the files of that commit.
    pub(crate) async fn fetch(&self, deployment: &Deployment) -> StepResult {
        let (name, git) = self.repository_of(deployment).await?;
        let mut order = deployment.git.clone().ok_or_else(|| not_built(PHASE))?;
        // Found before the server was restarted: it stays the one.
        let revision = order.commit.as_ref().map_or_else(|| order.revision.clone(), exactly);
        self.note(deployment, &format!("Fetching {} of {}", revision_words(&revision), order.url)).await;
        let commit = self.bring_files(deployment, &git, &revision).await?;
        let words = commit_words(&commit);
        let reference = format!("localhost/{name}:{}", commit.short());
        order.commit = Some(commit);
        let company = self.store().company(deployment.company);
        let written = company.checked_out(deployment.id, &order, &reference).await;
        written.map_err(|error| store_failure(PHASE, &error))?;
        failpoint::reach("S19");
        self.note(deployment, &words).await;
        Ok(Event::Fetched)
    }

    /// The files of the deployment's commit: those that were fetched, or the same ones fetched again when a restart
    /// came in between.
    pub(crate) async fn files(
        &self,
        deployment: &Deployment,
        git: &GitSource,
        commit: &Commit,
    ) -> Result<PathBuf, Failure> {
        if !self.builds().has_files(deployment.id) {
            self.note(deployment, &format!("Fetching commit {} again", commit.short())).await;
            self.bring_files(deployment, git, &exactly(commit)).await?;
        }
        Ok(self.builds().checkout(deployment.id))
    }

    async fn bring_files(
        &self,
        deployment: &Deployment,
        git: &GitSource,
        revision: &Revision,
    ) -> Result<Commit, Failure> {
        let url = deployment.git.as_ref().map_or(&git.url, |order| &order.url);
        let url = address(url)?;
        let remote = self.remote(deployment.company, &url, git.credential).await?;
        let folder = self.builds().checkout(deployment.id);
        let commit = self.check_out(&remote, revision, &git.build, &folder).await?;
        self.note_git_use(deployment.company, git.credential).await;
        self.builds().files_are_here(deployment.id);
        Ok(commit)
    }

    /// The files of a revision in a folder that is made for them.
    pub(crate) async fn check_out(
        &self,
        remote: &Remote,
        revision: &Revision,
        settings: &BuildSettings,
        folder: &Path,
    ) -> Result<Commit, Failure> {
        let prepared = self.builds().prepare(folder).await;
        prepared.map_err(|error| explain::internal(PHASE, "Making a folder for the repository", &error))?;
        let checked_out = self.git().checkout(remote, revision, settings, folder).await;
        checked_out.map_err(|error| git_failure(&error))
    }

    /// Name and repository of the application that a deployment builds.
    pub(crate) async fn repository_of(
        &self,
        deployment: &Deployment,
    ) -> Result<(AppName, GitSource), Failure> {
        let phase = deployment.state.phase();
        let app = self.store().company(deployment.company).app(deployment.app).await;
        let app = app.map_err(|error| store_failure(phase, &error))?;
        let git = app.source.git().cloned().ok_or_else(|| not_built(phase))?;
        Ok((app.name, git))
    }
}

/// What Git said, as the failure of a deployment.
pub(crate) fn git_failure(error: &GitError) -> Failure {
    let hint = error.hint();
    Failure::new(PHASE, error.code(), sentence(&error.to_string()), hint.as_deref())
}

/// The commit itself, whatever its branch is by now.
fn exactly(commit: &Commit) -> Revision {
    Revision::Commit { id: commit.id.clone(), branch: commit.branch.clone() }
}

fn revision_words(revision: &Revision) -> String {
    match revision {
        Revision::Default => "the default branch".to_owned(),
        Revision::Named(name) => name.clone(),
        Revision::Commit { id, branch: Some(branch) } => format!("commit {} ({branch})", short(id)),
        Revision::Commit { id, branch: None } => format!("commit {}", short(id)),
    }
}

/// `Commit 0123456789ab on main by Ada: Fix the door`; of the message its first line.
fn commit_words(commit: &Commit) -> String {
    let branch = commit.branch.as_ref().map(|branch| format!(" on {branch}")).unwrap_or_default();
    let title = commit.message.lines().next().unwrap_or_default();
    format!("Commit {}{branch} by {}: {title}", commit.short(), commit.author)
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// Somebody changed the application's source while the deployment was under way.
fn not_built(phase: Phase) -> Failure {
    let message = "The application is not built from a repository any more.";
    Failure::new(phase, FailureCode::RepositoryInvalid, message, Some("Deploy it again as it is now."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_twelve_digits_and_the_first_line() {
        let commit = Commit {
            id: "0123456789abcdef0123456789abcdef01234567".into(),
            branch: Some("main".into()),
            message: "Fix the door\n\nIt was open.".into(),
            author: "Ada".into(),
        };
        assert_eq!(commit_words(&commit), "Commit 0123456789ab on main by Ada: Fix the door");
        assert_eq!(revision_words(&exactly(&commit)), "commit 0123456789ab (main)");
        assert_eq!(revision_words(&Revision::Named("v2".into())), "v2");
        assert_eq!(revision_words(&Revision::Default), "the default branch");
    }
}
