//! Sites of plain files.

use super::{Bases, NotMade, Repository, Verdict};

/// Where the files of a site may be, in the order of trust.
const FOLDERS: [&str; 5] = [".", "public", "dist", "site", "www"];

pub fn look(repository: &Repository, bases: &Bases) -> Result<Verdict, NotMade> {
    let has_index = |folder: &&&str| repository.has_file(&format!("{folder}/index.html"));
    let Some(folder) = FOLDERS.iter().find(has_index) else { return Ok(Verdict::Other) };
    let server = bases.image("caddy:2.10");
    Ok(Verdict::Made(format!("FROM {server}\nCOPY {folder} /srv\nEXPOSE 8080\n")))
}
