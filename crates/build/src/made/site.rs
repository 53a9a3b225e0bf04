//! Sites of plain files.

use super::server::{Missing, serve};
use super::start::of_procfile;
use super::text::Text;
use super::{Bases, Kind, NotMade, Repository, Verdict};

/// Where the files of a site may be, in the order of trust.
const FOLDERS: [&str; 5] = [".", "public", "dist", "site", "www"];

pub fn look(repository: &Repository, bases: &Bases) -> Result<Verdict, NotMade> {
    let has_index = |folder: &&&str| repository.has_file(&format!("{folder}/index.html"));
    let Some(folder) = FOLDERS.iter().find(has_index) else { return Ok(Verdict::Other) };
    let missing = match repository.has_file(&format!("{folder}/404.html")) {
        true => Missing::OwnPage,
        false => Missing::NotFound,
    };
    let start = of_procfile(repository)?;
    let text = serve(Text::new(Kind::StaticSite), bases, folder, missing, start.as_ref());
    Ok(Verdict::Made(text.into_string()))
}
