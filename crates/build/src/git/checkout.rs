//! Writing the files of a commit.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use model::{BuildSettings, Commit};

use super::call::{Call, Refusal};
use super::clean;
use super::error::Cause;
use super::fetch::Repository;
use super::lfs;
use super::listing::Found;
use super::running::blocking;
use super::weight::{Budget, Scale, Weight};

/// As much of a commit is kept for people, in characters.
const MOST_MESSAGE: usize = 1000;
const MOST_AUTHOR: usize = 200;

/// An empty folder that is filled. Dropped before [`Place::keep`], it is empty again.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    is_kept: bool,
}

impl Place {
    pub fn claim(path: &Path) -> Result<Self, Cause> {
        let storage = |error| Cause::storage("fill", path, error);
        match fs::read_dir(path).map_err(storage)?.next() {
            None => Ok(Self { path: path.to_owned(), is_kept: false }),
            Some(_) => Err(storage(io::Error::from(io::ErrorKind::DirectoryNotEmpty))),
        }
    }

    pub fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_kept
            && let Err(error) = blocking(|| empty(&self.path))
        {
            tracing::warn!(folder = %self.path.display(), %error, "files of a failed checkout are still there");
        }
    }
}

/// Removes what a folder holds.
fn empty(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

/// What was written.
#[derive(Debug)]
pub(super) struct Written {
    pub commit: Commit,
    pub weight: Weight,
    /// Text of `.gitmodules`, as git reads it: `KEY<LF>VALUE<NUL>`. Empty unless it was asked for.
    pub modules: Vec<u8>,
}

/// Fetches a commit and writes its files into a folder, and nothing else.
pub(super) async fn write(
    call: &Call<'_>,
    found: &Found,
    into: &Path,
    budget: Budget,
    settings: &BuildSettings,
) -> Result<Written, Cause> {
    let repository = Repository::make(call, into, &found.id, budget.bytes).await?;
    repository.fetch(found).await?;
    let commit = describe(&repository, found).await?;
    let mut weight = weigh(&repository, &commit.id, budget).await?;
    let checkout = ["checkout", "--quiet", "--force", "--detach", &commit.id, "--"];
    repository.git(checkout).await.map_err(|refusal| repository.explain(refusal))?;
    if settings.with_lfs {
        let rest = Budget { bytes: budget.bytes.saturating_sub(weight.bytes), ..budget };
        weight.bytes += lfs::fetch(call, &repository, into, rest).await?;
    }
    let modules = match settings.with_submodules && weight.has_modules {
        true => read_modules(&repository, &commit.id).await?,
        false => Vec::new(),
    };
    let git = into.join(".git");
    blocking(|| fs::remove_dir_all(&git)).map_err(|error| Cause::storage("remove", &git, error))?;
    Ok(Written { commit, weight, modules })
}

/// What a commit says of itself.
async fn describe(repository: &Repository<'_>, found: &Found) -> Result<Commit, Cause> {
    let name = format!("{}^{{commit}}", found.id);
    let shown = repository.git(["log", "-1", "--no-decorate", "--format=%H%x00%an%x00%B", &name, "--"]).await;
    let text = match shown {
        Ok(text) => text,
        Err(Refusal::Cause(cause)) => return Err(cause),
        Err(Refusal::Words(_)) => {
            let what = match &found.branch {
                Some(name) => format!("commit under the name {name:?}: it leads to something else"),
                None => format!("commit {}: that is something else", found.id),
            };
            return Err(Cause::RevisionNotFound { what, near: Vec::new() });
        }
    };
    let text = String::from_utf8_lossy(&text);
    let mut parts = text.splitn(3, '\0');
    let mut part = || parts.next().unwrap_or_default();
    Ok(Commit {
        id: part().to_owned(),
        branch: found.branch.clone(),
        author: clean::lines(&part().replace('\n', " "), MOST_AUTHOR),
        message: clean::lines(part(), MOST_MESSAGE),
    })
}

async fn weigh(repository: &Repository<'_>, commit: &str, budget: Budget) -> Result<Weight, Cause> {
    let mut scale = Scale::new(budget);
    let weighed = repository
        .git_with(["ls-tree", "-r", "-l", "-z", "--full-tree", commit], |part| scale.take(part))
        .await;
    weighed.map_err(|refusal| repository.explain(refusal))?;
    Ok(scale.weight())
}

async fn read_modules(repository: &Repository<'_>, commit: &str) -> Result<Vec<u8>, Cause> {
    let file = format!("{commit}:.gitmodules");
    let read = repository.git(["config", "--blob", &file, "--null", "--list"]).await;
    read.map_err(|refusal| repository.explain(refusal))
}
