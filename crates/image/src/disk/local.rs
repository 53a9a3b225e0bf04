//! Names of images that were loaded on this machine.

use std::fs::{self, File};
use std::io::Write;

use model::image::{Digest, Reference};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Folders;
use super::folders::sync_folder;
use crate::Cause;

/// What a `localhost/NAME:TAG` stands for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LocalName {
    pub name: String,
    /// Index or manifest.
    pub digest: Digest,
    pub media_type: String,
}

impl Folders {
    /// What a reference stands for: by its digest when it has one, whatever the tag, else by its tag.
    pub fn local_name(&self, reference: &Reference) -> Option<LocalName> {
        if let Some(digest) = reference.digest() {
            let prefix = format!("{}/{}:", reference.host(), reference.repository());
            let mut names = self.local_names().ok()?.into_iter();
            return names.find(|name| name.digest == *digest && name.name.starts_with(&prefix));
        }
        let found: LocalName = serde_json::from_slice(&fs::read(self.local_path(reference)).ok()?).ok()?;
        (found.name == key(reference)).then_some(found)
    }

    /// Every name; files that cannot be read are left out.
    pub fn local_names(&self) -> Result<Vec<LocalName>, Cause> {
        let failed = |error| Cause::storage("list", self.local(), error);
        let mut names = Vec::new();
        for entry in fs::read_dir(self.local()).map_err(failed)? {
            let text = fs::read(entry.map_err(failed)?.path()).map_err(failed)?;
            names.extend(serde_json::from_slice::<LocalName>(&text).ok());
        }
        Ok(names)
    }

    /// Gives a name, taking it from whatever had it.
    pub fn set_local_name(
        &self,
        reference: &Reference,
        digest: &Digest,
        media_type: &str,
    ) -> Result<(), Cause> {
        let place = self.local_path(reference);
        let name =
            LocalName { name: key(reference), digest: digest.clone(), media_type: media_type.to_owned() };
        let temporary = self.scratch_path();
        let written = serde_json::to_vec(&name)
            .map_err(std::io::Error::from)
            .and_then(|text| {
                let mut file = File::create(&temporary)?;
                file.write_all(&text)?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&temporary, &place))
            .and_then(|()| sync_folder(&self.local()));
        written.map_err(|error| {
            let _ = fs::remove_file(&temporary);
            Cause::storage("write", place, error)
        })
    }

    fn local_path(&self, reference: &Reference) -> std::path::PathBuf {
        self.local().join(hex::encode(Sha256::digest(key(reference))))
    }
}

/// Name and tag. A loaded image is named by nothing else.
fn key(reference: &Reference) -> String {
    format!("{}/{}:{}", reference.host(), reference.repository(), reference.tag().unwrap_or("latest"))
}
