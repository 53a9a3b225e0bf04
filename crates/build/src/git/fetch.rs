//! Bringing a commit: as little of the history as the server allows.

use std::path::{Path, PathBuf};

use super::call::{Call, Refusal};
use super::error::Cause;
use super::listing::Found;
use super::running::Watch;

/// How deep a branch is fetched, step by step, when a server does not give a commit by its id.
const DEPTHS: [&str; 3] = ["--depth=50", "--depth=500", "--depth=5000"];
/// What is fetched is kept under this name.
const WANTED: &str = "refs/darsena/wanted";

/// A repository in a folder whose files are about to be written.
#[derive(Debug)]
pub(super) struct Repository<'a> {
    call: &'a Call<'a>,
    /// Its files, and `.git`.
    folder: PathBuf,
    watch: Watch,
}

impl<'a> Repository<'a> {
    /// Makes an empty one, for ids such as this one.
    pub async fn make(call: &'a Call<'a>, folder: &Path, id: &str, most: u64) -> Result<Self, Cause> {
        let format = if id.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
        let watch = Watch {
            folder: Some(folder.to_owned()),
            most,
            disk: folder.to_owned(),
            reserve: call.config().limits.reserve,
        };
        watch.look()?;
        call.git(folder, ["init", "--quiet", "--template=", format], None)
            .await
            .map_err(|refusal| call.explain(refusal))?;
        Ok(Self { call, folder: folder.to_owned(), watch })
    }

    /// Fetches a commit: alone, or with a part of its branch where the server gives no commit by its id.
    pub async fn fetch(&self, found: &Found) -> Result<(), Cause> {
        match self.fetch_one(&found.id, "--depth=1").await {
            Ok(()) => Ok(()),
            Err(refusal) if refusal.is_no_such_commit() => self.fetch_branch(found).await,
            Err(refusal) => Err(self.call.explain(refusal)),
        }
    }

    async fn fetch_branch(&self, found: &Found) -> Result<(), Cause> {
        for depth in DEPTHS {
            self.fetch_named(found.branch.as_deref(), depth).await?;
            let commit = format!("{}^{{commit}}", found.id);
            match self.git(["cat-file", "-e", &commit]).await {
                Ok(_) => return Ok(()),
                Err(Refusal::Cause(cause)) => return Err(cause),
                Err(Refusal::Words(_)) => {}
            }
        }
        let what = match &found.branch {
            Some(branch) => format!("commit {} among the newest of {branch:?}", found.id),
            None => format!("commit {}", found.id),
        };
        Err(Cause::RevisionNotFound { what, near: Vec::new() })
    }

    /// Fetches the branch or tag of a name, or all branches.
    async fn fetch_named(&self, name: Option<&str>, depth: &str) -> Result<(), Cause> {
        let Some(name) = name else {
            return self
                .fetch_into("+refs/heads/*:refs/darsena/heads/*", depth)
                .await
                .map_err(|r| self.call.explain(r));
        };
        match self.fetch_one(&format!("refs/heads/{name}"), depth).await {
            Err(refusal) if refusal.is_no_such_ref() => self
                .fetch_one(&format!("refs/tags/{name}"), depth)
                .await
                .map_err(|refusal| self.call.explain(refusal)),
            fetched => fetched.map_err(|refusal| self.call.explain(refusal)),
        }
    }

    async fn fetch_one(&self, source: &str, depth: &str) -> Result<(), Refusal> {
        self.fetch_into(&format!("+{source}:{WANTED}"), depth).await
    }

    async fn fetch_into(&self, refspec: &str, depth: &str) -> Result<(), Refusal> {
        let url = self.call.remote().url.to_string();
        let arguments = [
            "fetch",
            "--quiet",
            "--no-progress",
            "--no-tags",
            "--no-recurse-submodules",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--update-shallow",
            depth,
            "--",
            &url,
            refspec,
        ];
        self.call.git(&self.folder, arguments, Some(self.watch.clone())).await.map(drop)
    }

    /// Runs git in it, without a server.
    pub async fn git<const N: usize>(&self, arguments: [&str; N]) -> Result<Vec<u8>, Refusal> {
        // While files are written only the disk is looked at: they were weighed before, and are too many to count often.
        let watch = Watch { folder: None, ..self.watch.clone() };
        self.call.git(&self.folder, arguments, Some(watch)).await
    }

    /// As [`Repository::git`], and hands over what it prints as it comes.
    pub async fn git_with<const N: usize>(
        &self,
        arguments: [&str; N],
        take: impl FnMut(&[u8]) -> Result<(), Cause>,
    ) -> Result<(), Refusal> {
        self.call.git_with(&self.folder, arguments, take).await
    }

    /// Whether the disk has room for more.
    pub fn has_room(&self) -> Result<(), Cause> {
        Watch { folder: None, ..self.watch.clone() }.look()
    }

    pub fn explain(&self, refusal: Refusal) -> Cause {
        self.call.explain(refusal)
    }
}
