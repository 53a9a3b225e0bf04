//! Files that a repository keeps elsewhere: Git LFS (github.com/git-lfs/git-lfs, docs/spec.md and docs/api/batch.md).
//! Its own program would ask whatever server a repository or its server names; here each address passes the checks of
//! any other, and the login goes to the repository's server alone.

mod batch;
mod pointer;
mod web;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use model::git::Scheme;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::call::Call;
use super::clean::line;
use super::error::Cause;
use super::fetch::Repository;
use super::running::blocking;
use super::weight::Budget;
use batch::Action;
use pointer::Pointer;
use web::Web;

/// How many objects are asked for together.
const BATCH: usize = 100;

/// A file that is elsewhere.
#[derive(Debug)]
struct Absent {
    path: PathBuf,
    pointer: Pointer,
}

/// Puts the files of Git LFS in the place of what stands for them. Gives how many bytes they have.
pub(super) async fn fetch(
    call: &Call<'_>,
    repository: &Repository<'_>,
    into: &Path,
    budget: Budget,
) -> Result<u64, Cause> {
    let absent = find(repository, into).await?;
    if absent.is_empty() {
        return Ok(0);
    }
    let bytes = weigh(&absent, budget)?;
    if call.remote().url.scheme() == Scheme::Ssh {
        let what =
            "it keeps files with Git LFS, which are fetched over https alone; use its address with https";
        return Err(Cause::Invalid(what.to_owned()));
    }
    let web = Web::new(call);
    let bring = async {
        for part in absent.chunks(BATCH) {
            let actions = batch::ask(&web, call.remote(), part.iter().map(|absent| &absent.pointer)).await?;
            for absent in part {
                repository.has_room()?;
                let action = actions.get(&absent.pointer.id).ok_or_else(|| {
                    Cause::Invalid(format!("its server has no LFS file {}", absent.pointer.id))
                })?;
                write(&web, absent, action, &into.join(".git/lfs-object")).await?;
            }
        }
        Ok(bytes)
    };
    call.deadline().limit(bring).await
}

/// The files that git says are kept elsewhere, and that are pointers.
async fn find(repository: &Repository<'_>, into: &Path) -> Result<Vec<Absent>, Cause> {
    let listed = repository.git(["ls-files", "-z", "--", ":(attr:filter=lfs)"]).await;
    let listed = listed.map_err(|refusal| repository.explain(refusal))?;
    let names = listed.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    // There may be as many as a repository has files.
    blocking(|| {
        let mut absent = Vec::new();
        for name in names {
            let path = into.join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name));
            absent.extend(Pointer::of_file(&path)?.map(|pointer| Absent { path, pointer }));
        }
        Ok(absent)
    })
}

fn weigh(absent: &[Absent], budget: Budget) -> Result<u64, Cause> {
    let mut bytes: u64 = 0;
    for Absent { path, pointer } in absent {
        if pointer.size > budget.file {
            let name = line(&path.file_name().unwrap_or_default().to_string_lossy());
            let (mib, most) = (pointer.size >> 20, budget.file >> 20);
            return Err(Cause::TooLarge(format!(
                "the LFS file {name:?} has {mib} MiB, and {most} MiB are the most"
            )));
        }
        bytes = bytes.saturating_add(pointer.size);
    }
    match bytes > budget.bytes {
        true => {
            let most = budget.bytes >> 20;
            Err(Cause::TooLarge(format!("with its LFS files it has more than {most} MiB")))
        }
        false => Ok(bytes),
    }
}

/// Downloads a file beside and puts it in place when it is the very one.
async fn write(web: &Web<'_>, absent: &Absent, action: &Action, beside: &Path) -> Result<(), Cause> {
    let Absent { path, pointer } = absent;
    let url =
        Url::parse(&action.href).map_err(|_| Cause::Invalid("its LFS server names no address".to_owned()))?;
    let mut response = web.get(&url, &action.header).await?;
    let storage = |error| Cause::storage("write", path, error);
    let mut file = File::create(beside).map_err(storage)?;
    let (mut sum, mut bytes) = (Sha256::new(), 0_u64);
    while let Some(part) = response.chunk().await.map_err(|error| web::unreachable(&url, &error))? {
        bytes += part.len() as u64;
        if bytes > pointer.size {
            break;
        }
        sum.update(&part);
        file.write_all(&part).map_err(storage)?;
    }
    if bytes != pointer.size || hex::encode(sum.finalize()) != pointer.id {
        return Err(Cause::Invalid(format!("its LFS file {} came with other bytes", pointer.id)));
    }
    let mode = fs::metadata(path).map_err(storage)?.permissions();
    file.set_permissions(mode).map_err(storage)?;
    fs::rename(beside, path).map_err(storage)
}
