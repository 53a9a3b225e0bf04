//! Who may use what is on disk without downloading it again.
//!
//! A digest is no secret, and an image names its parts by digest alone. Were everything on disk for everybody, a
//! company could name another one's layers in a manifest of its own and run them. So a part counts as here only
//! for those who once had all its bytes from a registry themselves, and parts of loaded images for everybody.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use model::CompanyId;
use model::image::{DiffId, Digest};

use super::Folders;
use super::folders::sync_folder;
use crate::Cause;

/// For whom something is brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    Company(CompanyId),
    /// The administrator loaded it on this machine.
    Everybody,
}

const EVERYBODY: &str = "everybody";

impl Folders {
    /// Whether the owner may use a document or layer that is on disk. A layer is asked for by its diff id.
    pub fn is_proven(&self, hex: &str, owner: Owner) -> bool {
        let folder = self.proofs().join(hex);
        let own = match owner {
            Owner::Company(company) => folder.join(company.to_string()).exists(),
            Owner::Everybody => false,
        };
        own || folder.join(EVERYBODY).exists()
    }

    /// Notes that the owner had every byte, verified, so that it lasts: after a power cut a layer in place is of no
    /// use to a company that cannot prove that it had it.
    pub fn prove(&self, hex: &str, owner: Owner) -> Result<(), Cause> {
        let folder = self.proofs().join(hex);
        let name = match owner {
            Owner::Company(company) => company.to_string(),
            Owner::Everybody => EVERYBODY.to_owned(),
        };
        // Noted before and made last then; each deployment comes by here.
        if folder.join(&name).exists() {
            return Ok(());
        }
        let mark = || self.mark(&folder, &name);
        let marked = mark().or_else(|error| match error.kind() {
            // The sweep took the empty folder in between.
            io::ErrorKind::NotFound => mark(),
            _ => Err(error),
        });
        marked.map_err(|error| Cause::storage("write", folder, error))
    }

    /// A file lasts once its folder does, and that one's folder.
    fn mark(&self, folder: &Path, name: &str) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        File::create(folder.join(name))?.sync_all()?;
        sync_folder(folder)?;
        sync_folder(&self.proofs())
    }

    /// Forgets who had what is no longer on disk.
    pub fn sweep_proofs(&self) -> Result<(), Cause> {
        let failed = |error| Cause::storage("sweep", self.proofs(), error);
        for entry in fs::read_dir(self.proofs()).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let digest = name.to_str().and_then(|hex| Digest::parse(&format!("sha256:{hex}")).ok());
            let is_here = digest.is_some_and(|digest| {
                self.blob(&digest).exists() || self.layer(&DiffId::new(digest)).exists()
            });
            if !is_here {
                fs::remove_dir_all(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn proofs(&self) -> PathBuf {
        self.root().join("proofs")
    }
}
